import type { Clock, Timer } from '@cabstand/core';

/** The clock of one process: its timers go with it. */
export class ProcessClock implements Clock {
  readonly #clock: Clock;
  readonly #timers = new Set<Timer>();
  #dead = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Timers that wait. */
  get pending(): number {
    return this.#timers.size;
  }

  now(): number {
    return this.#clock.now();
  }

  monotonic(): number {
    return this.#clock.monotonic();
  }

  setTimer(callback: () => void, delayMs: number, options?: { unref?: boolean }): Timer {
    const cancel = (): void => {
      inner.cancel();
      this.#timers.delete(timer);
    };
    const inner = this.#clock.setTimer(
      () => {
        this.#timers.delete(timer);
        callback();
      },
      delayMs,
      options,
    );
    const timer: Timer = { cancel };
    if (this.#dead) inner.cancel();
    else this.#timers.add(timer);
    return timer;
  }

  /** The process is gone. */
  stop(): void {
    this.#dead = true;
    for (const timer of [...this.#timers]) timer.cancel();
  }
}
