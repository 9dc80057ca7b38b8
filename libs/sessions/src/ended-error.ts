import { CabstandError } from '@cabstand/core';
import type { Reason } from '@cabstand/core';
import type { EndReason, SessionEnd } from './types';

const REASONS: Partial<Record<EndReason, Reason>> = {
  evicted: 'SESSION_EVICTED',
  migrated: 'SESSION_EVICTED',
  lost: 'SESSION_LOST',
};

/** The error for whoever asks something of a session that has ended. */
export function endedError(id: string, end: SessionEnd): CabstandError {
  // Whoever comes back for the turn must not take it elsewhere.
  if (end.error?.reason === 'TURN_POISONED') return end.error;
  return new CabstandError(
    REASONS[end.reason] ?? 'SESSION_ENDED',
    `session ${id} has ended: ${end.reason}`,
    {
      metadata: {
        session_id: id,
        end_reason: end.reason,
        ...(end.error === undefined ? {} : { error: end.error.reason }),
      },
    },
  );
}

/** What a reader is told whose consumer reads by another call now: of two, the later is not always that. */
export function attachedAnew(): CabstandError {
  return new CabstandError('CANCELLED', 'the session was attached anew by another call', {
    metadata: { replaced_by: 'same_consumer' },
  });
}

/** What the reader of a session is told that has been handed over. */
export function movedError(id: string): CabstandError {
  return new CabstandError('SESSION_EVICTED', `session ${id} goes on elsewhere`, {
    metadata: { session_id: id, end_reason: 'migrated' },
  });
}

/** What is told of a session that ends as it was idle. @param why it cannot stay, and what its consumer can do */
export function evictedIdle(
  id: string,
  why: string,
  metadata: Readonly<Record<string, string>> = {},
): CabstandError {
  return new CabstandError('SESSION_EVICTED', `session ${id} was idle, and ${why}`, {
    metadata: { session_id: id, cause: 'idle', ...metadata },
  });
}

/** What a consumer is told that was served elsewhere since: what is here may have gone another way. */
export function outlived(id: string): CabstandError {
  return new CabstandError('SESSION_UNKNOWN', `session ${id} has gone on elsewhere since`, {
    metadata: { session_id: id },
  });
}

/** For whoever wants to take a session elsewhere that can only go on here. */
export function unmovable(): CabstandError {
  return new CabstandError(
    'INVALID_ARGUMENT',
    'only durable sessions can be handed over, and of modules only those that survive',
    { metadata: { field: 'update' } },
  );
}
