export { FrameType, PROTOCOL_VERSION } from './frames/types';
export type {
  AuditFrame,
  CancelFrame,
  CloseFrame,
  CreditsFrame,
  FailedFrame,
  FromEngine,
  HelloFrame,
  InputFrame,
  KnownModel,
  LoadedFrame,
  LoadFrame,
  OpenFrame,
  OutputMetadata,
  ProgressFrame,
  ReferenceKind,
  ShutdownFrame,
  SnapshotFrame,
  SnapshotItem,
  StatsFrame,
  StepFrame,
  StepItem,
  ToEngine,
  TurnEnd,
  TurnFrame,
} from './frames/types';
export { checkModel } from './check';
export type { AuditResult, CheckOptions, CheckResult, RecordedTurn } from './check';
export { auditReason } from './frames/audit-reason';
export { decodeFrame, encodeFrameInPieces } from './frames/codec';
export type { Frame } from './frames/codec';
export { DEFAULT_MESSAGE_BYTES, largestFrame } from './frames/limits';
export { fragmentsOf } from './frames/fragments';
export { FrameReader } from './frames/reader';
export { runtimeVersion } from './runtime-version';
export { checkSnapshotFits } from './snapshot/limit';
export { untried } from './untried';
export { compareTensors } from './verify/compare';
