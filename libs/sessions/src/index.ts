export type {
  EngineSnapshot,
  ModuleRecord,
  ModelSource,
  ModelStatus,
  Readers,
  Sequence,
  SequenceOptions,
  SequenceSink,
  ServedModel,
  SessionCommand,
  TurnStart,
} from './engine/engine';
export type { CommandOutcome, Observe, SessionEvent } from './events';
export { checkAhead, checkPartAhead } from './input/check-ahead';
export type { LivePart } from './input/live-input';
export { SESSION_LIMITS } from './options';
export type { SessionOptions } from './options';
export { ackWish } from './records/ack-wish';
export { sameEpoch } from './resume/epoch';
export type { PlannedTurn, ResumeSpec } from './resume/plan';
export type { Session } from './session';
export type { SessionFacts } from './session-facts';
export { Sessions } from './sessions';
export { expiredShare } from './share';
export type { OpenRequest } from './opening';
export type {
  Attachment,
  Checkpoint,
  Consumer,
  Detachment,
  EndReason,
  Epoch,
  JournalEntry,
  Retention,
  SessionEnd,
  SessionNotice,
  SessionState,
  TurnContent,
  TurnOutcome,
} from './types';
export { commandUnknown } from './module/command-check';
export type { Commands } from './module/commands';
export { UNNUMBERED } from './module/body';
export type { Outcome } from './module/body';
export { givenAt } from './module/given';
export type { Given } from './module/given';
