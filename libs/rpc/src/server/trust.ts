/** Trust that ends while calls are open: keys are removed, credentials expire. */
import { CabstandError } from '@cabstand/core';
import type { Clock, Timer } from '@cabstand/core';
import type { Recheck } from '../contract';

/** How often all open calls are looked at, milliseconds. A key file is itself looked at each 5 s. */
const EVERY_MS = 2000;
/** Sweeps are at least so far apart, milliseconds, whenever credentials end. */
const SOONEST_MS = 10;

/** Calls that are looked at in one go: other events are handled between. */
const AT_ONCE = 1000;
const PAUSE_MS = 1;

interface Kept {
  readonly rechecks: readonly Recheck[];
  /** Called once, when trust is lost. */
  readonly lost: (error: CabstandError) => void;
}

/** Looks again at the credentials of open calls, of all of them with one timer. */
export class Trust {
  readonly #clock: Clock;
  readonly #kept = new Set<Kept>();
  #timer: Timer | undefined;
  /** When the timer fires, by the monotonic clock; Infinity without one. */
  #due = Infinity;
  /** Until when the calls are trusted that the sweep under way has seen so far; undefined without one. */
  #seen: number | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Calls `lost` with CREDENTIALS_EXPIRED when one of `rechecks` fails, until what it answers is called. */
  keep(rechecks: readonly Recheck[], lost: (error: CabstandError) => void): () => void {
    if (rechecks.length === 0) return () => undefined;
    const kept: Kept = { rechecks, lost };
    this.#kept.add(kept);
    this.#arm(this.#look(kept));
    return () => {
      this.#kept.delete(kept);
      if (this.#kept.size === 0) this.#disarm();
    };
  }

  #sweep(): void {
    this.#disarm();
    this.#seen = Infinity;
    this.#lookOn(this.#kept.values());
  }

  /** Looks at the next of these now, and at the others in a moment. */
  #lookOn(calls: Iterator<Kept, unknown>): void {
    for (let left = AT_ONCE; left > 0; left--) {
      const next = calls.next();
      if (next.done === true) {
        const until = this.#seen ?? Infinity;
        this.#seen = undefined;
        this.#arm(until);
        return;
      }
      this.#seen = Math.min(this.#seen ?? Infinity, this.#look(next.value));
    }
    this.#timer = this.#clock.setTimer(() => this.#lookOn(calls), PAUSE_MS, { unref: true });
  }

  /** Until when the call is trusted; it is let go of where it is not. */
  #look(kept: Kept): number {
    try {
      let until = Infinity;
      for (const recheck of kept.rechecks) until = Math.min(until, recheck());
      if (until > this.#clock.now()) return until;
      throw new CabstandError('CREDENTIALS_EXPIRED', 'they have expired');
    } catch (thrown) {
      this.#kept.delete(kept);
      kept.lost(trustEnded(CabstandError.from(thrown, 'UNAUTHENTICATED')));
      return Infinity;
    }
  }

  /** Looks at all of them at this time of the wall clock, or sooner. */
  #arm(until: number): void {
    if (this.#seen !== undefined) {
      this.#seen = Math.min(this.#seen, until);
      return;
    }
    const delayMs = Math.min(EVERY_MS, Math.max(SOONEST_MS, until - this.#clock.now()));
    const due = this.#clock.monotonic() + delayMs;
    if (this.#kept.size === 0 || due >= this.#due) return;
    this.#timer?.cancel();
    this.#due = due;
    this.#timer = this.#clock.setTimer(() => this.#sweep(), delayMs, { unref: true });
  }

  #disarm(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#due = Infinity;
    this.#seen = undefined;
  }
}

/** Tells a call that ran and lost its trust from one that was refused: a session goes on after the former. */
function trustEnded(cause: CabstandError): CabstandError {
  return new CabstandError(
    'CREDENTIALS_EXPIRED',
    `the credentials of this open call are not good any more: ${cause.message}`,
    { metadata: { open_call: 'ended', cause: cause.reason }, cause },
  );
}
