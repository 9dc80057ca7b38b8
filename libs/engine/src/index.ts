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
export { FrameReader } from './frames/reader';
export { untried } from './untried';
