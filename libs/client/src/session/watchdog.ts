import type { Clock, Timer } from '@cabstand/core';

/** A timer that fires this late was held up by the application's own event loop. */
const BLOCKED_MS = 250;

export interface WatchdogOptions {
  readonly clock: Clock;
  /** Where it answers true at the end of a wait, silence is as it should be. */
  readonly paused?: () => boolean;
}

/**
 * Watches waits. Time counts only between `enter` and `leave`, so an application that does not read
 * is never taken for a hoster that does not send. One timer serves any number of waits: a record costs
 * a look at the clock, not a timer.
 */
export class Watchdog {
  readonly #options: WatchdogOptions;
  #limitMs = Infinity;
  #expired: (waitedMs: number) => void = () => undefined;
  #since = 0;
  #waiting = false;
  #rearmed = false;
  #timer: { readonly handle: Timer; readonly due: number } | undefined;

  constructor(options: WatchdogOptions) {
    this.#options = options;
  }

  /** A wait of at most `limitMs` begins; `expired` is called if it was in vain, with the time. */
  enter(limitMs: number, expired: (waitedMs: number) => void): void {
    this.#waiting = true;
    this.#expired = expired;
    this.#limitMs = limitMs;
    this.#since = this.#options.clock.monotonic();
    this.#arm();
  }

  /** The wait goes on, but the other side showed that it lives. */
  touch(): void {
    this.#since = this.#options.clock.monotonic();
    this.#rearmed = false;
  }

  /** What was waited for has come. */
  leave(): void {
    this.#waiting = false;
    this.#rearmed = false;
  }

  stop(): void {
    this.#waiting = false;
    this.#timer?.handle.cancel();
    this.#timer = undefined;
  }

  #arm(): void {
    const due = this.#since + this.#limitMs;
    if (!Number.isFinite(due)) return;
    if (this.#timer !== undefined) {
      if (this.#timer.due <= due) return;
      this.#timer.handle.cancel();
    }
    const delay = due - this.#options.clock.monotonic();
    this.#timer = { due, handle: this.#options.clock.setTimer(this.#fire, delay, { unref: true }) };
  }

  readonly #fire = (): void => {
    const planned = this.#timer?.due ?? 0;
    this.#timer = undefined;
    if (!this.#waiting) return;
    const now = this.#options.clock.monotonic();
    if (now < this.#since + this.#limitMs) {
      this.#arm();
      return;
    }
    if (this.#options.paused?.() === true) {
      this.#since = now;
      this.#arm();
      return;
    }
    // What arrived while the loop was blocked has not been read yet: give it one more period.
    if (now - planned > BLOCKED_MS && !this.#rearmed) {
      this.#rearmed = true;
      this.#since = now;
      this.#arm();
      return;
    }
    this.#waiting = false;
    this.#expired(now - this.#since);
  };
}
