import type { CabstandError } from '@cabstand/core';

/** What happened before the error. */
export interface FailureFacts {
  /**
   * - `placing`: no hoster was found.
   * - `opening`: a hoster has the turn but has sent no record of the session.
   * - `again`: a hoster that has the session refused a later turn before its first record.
   * - `streaming`: records of the turn have been delivered.
   */
  readonly phase: 'placing' | 'opening' | 'again' | 'streaming';
  /** Attempts made so far, this one included. */
  readonly attempts: number;
  readonly maxAttempts: number;
  /** The session is durable: it can go on elsewhere. Default false. */
  readonly resumable?: boolean;
}

export type RetryDecision =
  /** The caller gets the error. */
  | { readonly action: 'throw' }
  /** Try another hoster, and do not come back to this one for a while. `blame`: report it. */
  | { readonly action: 'elsewhere'; readonly blame: boolean }
  /** Try the same again after a pause. */
  | { readonly action: 'wait' }
  /** Go on where the records stopped. `reattach`: the hoster may still have the session. */
  | { readonly action: 'resume'; readonly reattach: boolean };

const THROW: RetryDecision = { action: 'throw' };

/** What to do about an error: nothing but the tables of reasons decides it. */
export function decideRetry(error: CabstandError, facts: FailureFacts): RetryDecision {
  const { resumable = false } = facts;
  // Records are out. Going on with them needs a resume; starting again would send them twice.
  if (facts.phase === 'streaming') return resumable ? decideResume(error) : THROW;
  if (facts.phase === 'again' && resumable) {
    // A hoster that wants to go takes no turn, and will not later; nor does one that lost its model.
    const forGood = error.reason === 'DRAINING' || error.reason === 'MODEL_FAILED';
    if (error.class !== 'overload' || forGood) return decideResume(error);
  }
  if (facts.attempts >= facts.maxAttempts) return THROW;

  switch (error.class) {
    case 'caller':
      // A hoster knows only its own models: of those named by address another may have this one.
      if ((error.reason === 'MODEL_UNKNOWN' || overtaken(error)) && facts.phase === 'opening')
        return { action: 'elsewhere', blame: false };
      // Everything else the caller sent is as wrong at the next hoster.
      return THROW;
    case 'auth':
      if (trustEnded(error) && facts.phase === 'opening')
        return { action: 'elsewhere', blame: false };
      // Every call renews its credentials once by itself, so these are wrong, and wrong anywhere.
      return THROW;
    case 'overload':
      // No room is no failure: the node is left alone for a while, not blamed.
      if (facts.phase === 'opening') return { action: 'elsewhere', blame: false };
      // The state of a session with earlier turns is here, or the router has nobody: wait for room.
      return { action: 'wait' };
    case 'node':
      if (facts.phase === 'opening') return { action: 'elsewhere', blame: true };
      // No router answers, and none did before: one may come back.
      if (facts.phase === 'placing') return { action: 'wait' };
      // The state of the session went down with its node.
      return THROW;
    case 'session':
      // Nothing of the session has been delivered, so there is nothing to go on from: start elsewhere.
      if (facts.phase === 'opening') return { action: 'elsewhere', blame: false };
      return THROW;
    case 'fatal':
      // It would be the same anywhere.
      return THROW;
  }
}

/** A session that was lost at its hoster, but not to its consumer. */
export function goneAtHoster(error: CabstandError): boolean {
  switch (error.reason) {
    // Sessions number turns and positions themselves: the hoster's session is of another time. It may have
    // begun anew with an opening that came late and twice.
    case 'TURN_OUT_OF_ORDER':
    case 'POSITION_INVALID':
    case 'SESSION_UNKNOWN':
    case 'SESSION_EVICTED':
    case 'SESSION_LOST':
    case 'INCARNATION_UNKNOWN':
      return true;
    case 'SESSION_ENDED':
      // Whoever closed it meant it; what the hoster ended for its own reasons goes on.
      return ['timed_out', 'evicted', 'migrated', 'lost'].includes(
        error.metadata['end_reason'] ?? '',
      );
    default:
      return false;
  }
}

/**
 * The hoster took a call for a newer one that this consumer had given up, and that came late: calls on
 * different connections overtake each other. The session is where it was.
 */
export function overtaken(error: CabstandError): boolean {
  return error.reason === 'CANCELLED' && error.metadata['replaced_by'] === 'same_consumer';
}

/**
 * An open call whose credentials are not good any more: they expired, or their key was removed. The node is
 * well, and may take fresh ones. A call that is refused for its credentials has tried fresh ones already.
 */
export function trustEnded(error: CabstandError): boolean {
  return error.reason === 'CREDENTIALS_EXPIRED' && error.metadata['open_call'] === 'ended';
}

/**
 * The hoster of a session has as many commands of it as may wait, perhaps of whoever had the session before: it takes
 * others when its reader has read on. The session is well, and nowhere else.
 */
export function commandsWait({ reason, metadata }: CabstandError): boolean {
  return reason === 'RATE_LIMITED' && metadata['limited_by'] === 'commands_waiting';
}

/** A module that survives nothing, or that gives something else when it is run again. */
const LOST_FOR_GOOD: ReadonlySet<string> = new Set(['no_survival', 'not_deterministic']);

function decideResume(error: CabstandError): RetryDecision {
  if (error.reason === 'SESSION_LOST' && LOST_FOR_GOOD.has(error.metadata['problem'] ?? ''))
    return THROW;
  if (goneAtHoster(error)) return { action: 'resume', reattach: false };
  if (overtaken(error) || trustEnded(error) || commandsWait(error))
    return { action: 'resume', reattach: true };
  switch (error.class) {
    case 'session':
    case 'overload':
      return { action: 'resume', reattach: false };
    case 'node':
      // The engine's death took the session with it; anything else may be the connection only.
      return {
        action: 'resume',
        reattach: error.reason !== 'ENGINE_CRASHED' && error.reason !== 'ENGINE_STALLED',
      };
    case 'caller':
    case 'auth':
    case 'fatal':
      return THROW;
  }
}
