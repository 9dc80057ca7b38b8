import type { Clock } from './clock';
import type { CabstandError } from './errors';

/** Refusals that are told late: each at its time, or once nobody waits for it any more. */
export class LateRefusals {
  readonly #clock: Clock;
  readonly #waiting = new Set<() => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Refusals that have not been told. */
  get size(): number {
    return this.#waiting.size;
  }

  /**
   * Rejects with the refusal after `delayMs`, or once the signal aborts.
   *
   * @param told is called right before
   */
  hold(
    refusal: CabstandError,
    delayMs: number,
    signal: AbortSignal,
    told: () => void,
  ): Promise<never> {
    return new Promise((_, reject) => {
      const tell = (): void => {
        timer.cancel();
        signal.removeEventListener('abort', tell);
        this.#waiting.delete(tell);
        told();
        reject(refusal);
      };
      this.#waiting.add(tell);
      const timer = this.#clock.setTimer(tell, delayMs, { unref: true });
      signal.addEventListener('abort', tell, { once: true });
      if (signal.aborted) tell();
    });
  }

  /** Tells all that wait. */
  close(): void {
    for (const tell of this.#waiting) tell();
  }
}
