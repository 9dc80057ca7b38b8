export { EXIT_STALLED, FrameType, PROTOCOLS } from './frames/types';
export { HELD_PARTS, RecordField, RecordFlag } from './frames/module-frames';
export type { Generation, LanguageFigures } from './frames/language-frames';
export { STOP_COMMAND } from './frames/stop-command';
export { appliedBody, resultBody } from './kinds/module/bodies';
export type {
  CommandDescription,
  CommandFrame,
  LogFrame,
  LogLevel,
  ModuleDescription,
  NoticeItem,
  RecordItem,
  Replay,
  ReplayEntry,
  SilentSequence,
  StopFrame,
  StopReason,
} from './frames/module-frames';
export type {
  AuditFrame,
  CallBy,
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
export type { AuditResult, CheckOptions, CheckResult, ProviderCheck, RecordedTurn } from './check';
export { testModule } from './module-test/test-module';
export type { ModuleTestOptions } from './module-test/test-module';
export { recordModule, replayModule } from './module-test/replay-module';
export type { ReplayReport } from './module-test/replay-module';
export { readTranscript, writeTranscript } from './module-test/transcript';
export type { Finding, ModuleTestReport } from './module-test/report';
export { auditReason } from './frames/audit-reason';
export { decodeFrame, encodeFrameInPieces, packerFor } from './frames/codec';
export type { Frame } from './frames/codec';
export { DEFAULT_MESSAGE_BYTES, largestFrame } from './frames/limits';
export { fragmentsOf } from './frames/fragments';
export { FrameReader } from './frames/reader';
export { LAST_SCORES, freshName, tailOf } from './kinds/language-model/cache/tail';
export { createSession } from './graphs/session';
export { runtimeVersion } from './runtime-version';
export { checkSnapshotFits } from './snapshot/limit';
export { untried } from './untried';
export { compareTensors } from './verify/compare';
