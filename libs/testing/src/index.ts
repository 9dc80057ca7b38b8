export { Child } from './child';
export type { Exit } from './child';
export { conformanceCases } from './conformance/cases';
export type { ConformanceCase, Deeds, TurnDeed } from './conformance/cases';
export type { Report } from './conformance/judge';
export { ConformanceSubnet } from './conformance/subject';
export type { Announcement } from './conformance/subject';
export { ANY_INPUT } from './engine/any-input';
export { FakeHost, FakeModel, testSealer } from './engine/fake-host';
export type { FakeSequence } from './engine/fake-host';
export { StatefulHost, mix, partOf } from './engine/stateful-host';
export { MemoryCalls } from './memory/memory-calls';
export { MockProtocol } from './memory/mock-protocol';
export { ScriptedRouter, serveMock, trusting } from './memory/serve';
export { ProcessClock } from './memory/process-clock';
export type {
  MockFailure,
  MockGiven,
  MockModule,
  MockModuleOptions,
  MockProtocolOptions,
  MockRecord,
  MockTurn,
} from './memory/types';
export { FaultProxy } from './proxy/proxy';
export type { Direction, Injection, NetFault, NetFaultOptions } from './proxy/faults';
export { freePortRange, freePorts } from './free-ports';
export { pageFaults, scrape, total } from './metrics';
export { onnxModel } from './onnx/model';
export type { OnnxAttribute, OnnxGraph, OnnxModel, OnnxNode, OnnxValue } from './onnx/model';
export type { OnnxTensor } from './onnx/tensor';
export { readOn } from './read-on';
export { refusalOf } from './refusal-of';
export {
  BUNDLED_MODELS,
  ENCODER_MODELS,
  LANGUAGE_MODELS,
  REPOSITORY_ROOT,
  Subnet,
  TEST_MODELS,
} from './subnet';
export type { Service, ServiceChanges, SubnetOptions } from './subnet';
export { until } from './until';
export { FakeTracer } from './fake-tracer';
export type { MadeSpan } from './fake-tracer';
