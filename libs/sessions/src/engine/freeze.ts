import type { Clock } from '@cabstand/core';

/** Stops a session's computing at a step boundary, for good. */
export class Freeze {
  readonly #clock: Clock;
  readonly #longestMs: number;
  #frozen = false;
  #release: (() => void) | undefined;
  /** A snapshot is under way that was asked for before the engine was paused. */
  #doubtful = false;

  /** `longestMs`: how long `begin` waits for the engine's last snapshot. */
  constructor(clock: Clock, longestMs: number) {
    this.#clock = clock;
    this.#longestMs = longestMs;
  }

  get frozen(): boolean {
    return this.#frozen;
  }

  /**
   * The engine was paused. Resolves when its last snapshot has come or none will. `doubtful`: a snapshot
   * that was asked for before the pause is still to come.
   */
  begin(doubtful: boolean): Promise<void> {
    this.#frozen = true;
    this.#doubtful = doubtful;
    return new Promise((resolve) => {
      const timer = this.#clock.setTimer(resolve, this.#longestMs, { unref: true });
      this.#release = () => {
        timer.cancel();
        resolve();
      };
    });
  }

  /** A snapshot came. False where records may follow it, so that another one is needed. */
  snapshot(): boolean {
    const last = !this.#doubtful;
    this.#doubtful = false;
    if (last) this.release();
    return last;
  }

  /** No snapshot needs to be waited for. */
  release(): void {
    this.#release?.();
  }

  stop(): void {
    this.#frozen = true;
    this.release();
  }
}
