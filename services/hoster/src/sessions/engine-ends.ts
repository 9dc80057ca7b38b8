/** How a session ends when its engine can compute no more of it. */
import { CabstandError } from '@cabstand/core';
import type { SessionEnd } from './types';

/** The engine is gone, and the session does not go on in another. */
export function endAfter(error: CabstandError): SessionEnd {
  return { reason: error.reason === 'DRAINING' ? 'evicted' : 'lost', error };
}

/** Computed again, the turn ended at `end`, before the consumer's next position. */
export function shortOf(next: number, end: number): SessionEnd {
  const error = new CabstandError(
    'SESSION_LOST',
    `computed again, the turn ended at position ${end}, but record ${next - 1} was delivered`,
    { metadata: { position: String(end), delivered_position: String(next - 1) } },
  );
  return { reason: 'lost', error };
}
