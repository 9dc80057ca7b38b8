import { CabstandError } from '@cabstand/core';
import type { SessionEnd } from './types';

/** The error for whoever asks something of a session that has ended. */
export function endedError(id: string, end: SessionEnd): CabstandError {
  const reason =
    end.reason === 'evicted'
      ? 'SESSION_EVICTED'
      : end.reason === 'lost'
        ? 'SESSION_LOST'
        : 'SESSION_ENDED';
  return new CabstandError(reason, `session ${id} has ended: ${end.reason}`, {
    metadata: {
      session_id: id,
      end_reason: end.reason,
      ...(end.error === undefined ? {} : { error: end.error.reason }),
    },
  });
}
