export { loadManifest } from './manifest/load';
export type { LoadManifestOptions } from './manifest/load';
export { parseManifest } from './manifest/parse';
export { modelDigest } from './manifest/digest';
export { listModels, listVersions } from './manifest/versions';
export { decodeToken, encodeText } from './manifest/vocabulary';
export { elementsOf, resolveParameters } from './manifest/parameters';
export type { Parameters, ParameterValue } from './manifest/parameters';
export { manifestProblem, oneOf } from './manifest/problems';
export { validateLiveInput, validateTurnInput } from './manifest/validate';
export type { CheckedTurn, TurnInput } from './manifest/validate';
export { readGolden } from './golden/golden';
export type { GoldenSequence } from './golden/golden';
export { readGraph } from './onnx-file/read';
export { dependsOn, operators } from './onnx-file/reach';
export type { OnnxElementType } from './onnx-file/element-types';
export type { GraphNode, GraphSummary, GraphValue, Subgraph } from './onnx-file/types';
export type {
  BatchClass,
  Dimension,
  FramingSpec,
  GenerationSpec,
  GraphInput,
  GraphOutput,
  GraphRun,
  GraphSpec,
  InputSpec,
  Manifest,
  Media,
  ModelKind,
  OutputSpec,
  ParameterSpec,
  Provenance,
  Provider,
  Sink,
  Source,
  StateSpec,
  TextInput,
  TextOutput,
  TextSpec,
  Vocabulary,
} from './manifest/types';
