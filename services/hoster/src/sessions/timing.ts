import type { Clock } from '@cabstand/core';
import type { SessionObserver } from './observer';
import type { SessionFacts } from './session-facts';

/** Measures a turn's time to its first chunk and between chunks. */
export class TurnTiming {
  readonly #clock: Clock;
  #startedAt = 0;
  #lastAt: number | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  start(): void {
    this.#startedAt = this.#clock.monotonic();
    this.#lastAt = undefined;
  }

  /** A chunk came. Times in which the reader had no room say nothing about the hoster. */
  chunk(session: SessionFacts, readerHasRoom: boolean, observer: SessionObserver): void {
    const now = this.#clock.monotonic();
    if (this.#lastAt === undefined) observer.firstChunk?.(session, (now - this.#startedAt) / 1000);
    else if (readerHasRoom) observer.betweenChunks?.(session, (now - this.#lastAt) / 1000);
    this.#lastAt = now;
  }
}
