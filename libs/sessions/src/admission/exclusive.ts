/** Models that take one session at a time: who has the slot keeps it, but not for ever without a reader. */
import { CabstandError } from '@cabstand/core';
import type { ServedModel } from '../engine/engine';
import type { Session } from '../session';

/** A session, as far as it matters whether it holds the only slot of its model. */
export type Holder = Pick<
  Session,
  'id' | 'model' | 'state' | 'turn' | 'turnRuns' | 'stopping' | 'since'
>;

export function isExclusive({ signature }: Pick<ServedModel, 'signature'>): boolean {
  return signature.sessions?.exclusive === true;
}

/** Whether it has the slot, and goes on having it: of one that is over only records are left. */
const holds = ({ turn, turnRuns, stopping }: Holder): boolean =>
  (turn < 0 || turnRuns) && !stopping;

/** Whether it has to end for somebody who wants its slot: nobody has read it for `minMs`. */
export function leftAlone(session: Holder, now: number, minMs: number): boolean {
  if (!isExclusive(session.model) || !holds(session)) return false;
  return session.state === 'orphaned' && now - session.since >= minMs;
}

/** Whether the only slot is taken by what comes to its end: it is worth waiting for. */
export function fallsFree(model: ServedModel, sessions: Iterable<Holder>): boolean {
  if (!isExclusive(model) || model.openSequences === 0) return false;
  for (const session of sessions) if (holds(session)) return false;
  return true;
}

/** What is told of such a session, and whoever comes back for it. */
export function evictedAlone({ id }: Holder, ms: number): CabstandError {
  return new CabstandError(
    'SESSION_EVICTED',
    `nobody read session ${id} for ${Math.floor(ms / 1000)} s, and its model takes one session at a time: another one has its place`,
    { metadata: { session_id: id, cause: 'orphaned' } },
  );
}
