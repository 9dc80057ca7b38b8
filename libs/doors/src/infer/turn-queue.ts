import { CabstandError, abortReason } from '@cabstand/core';

/** Lets one in at a time, in the order in which they came. */
export class TurnQueue {
  readonly #most: number;
  readonly #waiting: (() => void)[] = [];
  #busy = false;

  /** `most`: how many may wait. */
  constructor(most: number) {
    this.#most = most;
  }

  /** Whether nobody is in and nobody waits. */
  get empty(): boolean {
    return !this.#busy;
  }

  /** Resolves when it is the caller's turn; `leave` must follow. Throws LIMIT_EXCEEDED, or as the signal says. */
  enter(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.reject(abortReason(signal));
    if (!this.#busy) {
      this.#busy = true;
      return Promise.resolve();
    }
    if (this.#waiting.length >= this.#most)
      return Promise.reject(
        new CabstandError('LIMIT_EXCEEDED', `${this.#most} requests of the sequence wait already`, {
          metadata: { field: 'sequence_id', limit: String(this.#most) },
        }),
      );
    return new Promise((resolve, reject) => {
      const enter = (): void => {
        signal.removeEventListener('abort', onAbort);
        resolve();
      };
      const onAbort = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(enter), 1);
        reject(abortReason(signal));
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#waiting.push(enter);
    });
  }

  leave(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#busy = false;
    else next();
  }
}
