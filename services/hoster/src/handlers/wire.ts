/** The core's words in the contract's. */
import type { CabstandError } from '@cabstand/core';
import { toDuration } from '@cabstand/rpc';
import type { v1 } from '@cabstand/rpc';
import type { ServedModel } from '../engines/contract';
import type { EndReason, SessionEnd, SessionNotice, SessionState } from '../sessions/types';

const END_REASONS = {
  completed: 'END_REASON_COMPLETED',
  stopped: 'END_REASON_STOPPED',
  cancelled: 'END_REASON_CANCELLED',
  timed_out: 'END_REASON_TIMED_OUT',
  evicted: 'END_REASON_EVICTED',
  migrated: 'END_REASON_MIGRATED',
  lost: 'END_REASON_LOST',
  error: 'END_REASON_ERROR',
} as const satisfies Record<EndReason, string>;

const STATES = {
  waiting: 'SESSION_STATE_WAITING',
  streaming: 'SESSION_STATE_STREAMING',
  orphaned: 'SESSION_STATE_ORPHANED',
  closing: 'SESSION_STATE_CLOSING',
  ended: 'SESSION_STATE_ENDED',
} as const satisfies Record<SessionState, string>;

const BATCH_CLASSES = {
  exact: 'BATCH_CLASS_EXACT',
  tolerance: 'BATCH_CLASS_TOLERANCE',
  unbatched: 'BATCH_CLASS_UNBATCHED',
} as const;

export function wireEndReason(reason: EndReason): (typeof END_REASONS)[EndReason] {
  return END_REASONS[reason];
}

export function wireState(state: SessionState): (typeof STATES)[SessionState] {
  return STATES[state];
}

export function wireBatchClass(model: ServedModel): v1.BatchClass {
  return model.batchClass === undefined
    ? 'BATCH_CLASS_UNSPECIFIED'
    : BATCH_CLASSES[model.batchClass];
}

export function wireError(error: CabstandError | undefined): v1.ErrorDetail | null {
  if (error === undefined) return null;
  return { reason: error.reason, message: error.message, metadata: { ...error.metadata } };
}

export function wireClosed(end: SessionEnd): v1.Closed {
  return { reason: wireEndReason(end.reason), error: wireError(end.error) };
}

export function wireNotice(notice: SessionNotice): v1.Notice {
  switch (notice.kind) {
    case 'queued':
      return { queued: { position: notice.position } };
    case 'accepted':
      return {
        accepted: {
          turn: notice.turn,
          next_input_sequence: notice.nextInput,
          next_command_sequence: 0,
          wanted_input_sequence: notice.wanted ?? 0,
        },
      };
    case 'draining':
      return { draining: { deadline: toDuration(notice.deadlineMs) } };
    case 'checkpoint':
      return { checkpoint: { checkpoint: notice.checkpoint } };
    case 'progress':
      return { progress: { done: notice.done, total: 0 } };
    case 'ack_wanted':
      return { ack_wanted: { position: notice.position } };
  }
}
