/** Whether a session can go on with a consumer that comes with a resume. */
import { endedError } from '../ended-error';
import { compareEpoch, fenced } from './epoch';
import type { ResumeSpec } from './plan';
import type { Session } from '../session';
import type { EndReason, Epoch, SessionStatus } from '../types';

/** Ends after which a session may go on, here or elsewhere. */
const GOES_ON: ReadonlySet<EndReason> = new Set(['lost', 'evicted', 'migrated', 'timed_out']);

/**
 * Raises the session's epoch. False where the session must be made anew from what the consumer brings:
 * what it lacks is not here, or it may have been elsewhere in the meantime.
 * Throws EPOCH_FENCED for a consumer that has lost.
 */
export function takeOver(session: Session, epoch: Epoch, spec: ResumeSpec): boolean {
  const { counter } = session.epoch;
  const { servedEpoch = 0 } = spec;
  compareEpoch(session.epoch, epoch);
  // Any higher, and somebody else may have been at it elsewhere.
  const fits = epoch.counter <= counter + 1 && servedEpoch <= counter && goesOnAt(session, spec);
  session.claim(epoch);
  return fits;
}

/**
 * Throws why a session that has ended here may not go on with this consumer. `anewFor`: the consumer that
 * it was ended for, to be made anew, which may ask again if that came to nothing.
 */
export function checkRevival(status: SessionStatus, epoch: Epoch, anewFor?: Epoch): void {
  const { id, end = { reason: 'completed' }, epoch: last } = status;
  if (!GOES_ON.has(end.reason) || end.error?.reason === 'TURN_POISONED') throw endedError(id, end);
  if (anewFor !== undefined) compareEpoch(anewFor, epoch);
  else if (epoch.counter <= last) throw fenced({ counter: last, owner: '' }, epoch.counter);
}

/** Whether what the consumer lacks is here, in the turn that it means. */
function goesOnAt(session: Session, { delivered, turn }: ResumeSpec): boolean {
  const { base, position, state } = session;
  if (state === 'closing' || delivered + 1 < base || delivered + 1 > position) return false;
  return turn === session.turn || (turn === session.turn + 1 && !session.turnRuns);
}
