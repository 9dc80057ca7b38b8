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
}

export type RetryDecision =
  /** The caller gets the error. */
  | { readonly action: 'throw' }
  /** Try another hoster, and do not come back to this one for a while. `blame`: report it. */
  | { readonly action: 'elsewhere'; readonly blame: boolean }
  /** Try the same again after a pause. */
  | { readonly action: 'wait' };

const THROW: RetryDecision = { action: 'throw' };

/** What to do about an error: nothing but the tables of reasons decides it. */
export function decideRetry(error: CabstandError, facts: FailureFacts): RetryDecision {
  // Records are out. Going on with them needs a resume; starting again would send them twice.
  if (facts.phase === 'streaming') return THROW;
  if (facts.attempts >= facts.maxAttempts) return THROW;

  switch (error.class) {
    case 'caller':
      // A hoster knows only its own models: of those named by address another may have this one.
      if (error.reason === 'MODEL_UNKNOWN' && facts.phase === 'opening')
        return { action: 'elsewhere', blame: false };
      // Everything else the caller sent is as wrong at the next hoster.
      return THROW;
    case 'auth':
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
