import type { CabstandError, Clock } from '@cabstand/core';

/**
 * Holds refused watches for a while, each for another time: a caller that does not heed the advice when
 * to come again would otherwise come at once, and to refuse it costs more than to let it wait.
 */
export class Refused {
  readonly #waiting = new Set<() => void>();

  constructor(
    private readonly clock: Clock,
    private readonly random: () => number,
    private readonly meanMs: number,
  ) {}

  get size(): number {
    return this.#waiting.size;
  }

  /** Rejects with the refusal, in half to one and a half of the mean time, or once the signal aborts. */
  hold(refusal: CabstandError, signal: AbortSignal): Promise<never> {
    return new Promise((_, reject) => {
      const end = (): void => {
        timer.cancel();
        signal.removeEventListener('abort', end);
        this.#waiting.delete(end);
        reject(refusal);
      };
      const timer = this.clock.setTimer(end, this.meanMs * (0.5 + this.random()), { unref: true });
      signal.addEventListener('abort', end, { once: true });
      this.#waiting.add(end);
    });
  }

  close(): void {
    for (const end of this.#waiting) end();
  }
}
