/** The core's words in the contract's. */
import { toDuration, wireEndReason, wireError } from '@cabstand/rpc';
import type { v1 } from '@cabstand/rpc';
import type { ServedModel, SessionEnd, SessionNotice, SessionState } from '@cabstand/sessions';

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

export function wireState(state: SessionState): (typeof STATES)[SessionState] {
  return STATES[state];
}

export function wireBatchClass(model: ServedModel): v1.BatchClass {
  return model.batchClass === undefined
    ? 'BATCH_CLASS_UNSPECIFIED'
    : BATCH_CLASSES[model.batchClass];
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
          next_part: notice.nextInput,
          next_command_sequence: 0,
          wanted_part: notice.wanted ?? 0,
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
    case 'skipped':
      return { skipped: { records: notice.records } };
    case 'module':
      return { module: { turn: notice.turn, name: notice.name, json: notice.json } };
  }
}
