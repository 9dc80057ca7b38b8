import type { Clock } from '@cabstand/core';
import type { Observe } from './events';
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
  chunk(session: SessionFacts, readerHasRoom: boolean, observe: Observe): void {
    const now = this.#clock.monotonic();
    const first = this.#lastAt === undefined;
    const seconds = (now - (this.#lastAt ?? this.#startedAt)) / 1000;
    if (first || readerHasRoom)
      observe({ kind: first ? 'first_chunk' : 'between_chunks', session, seconds });
    this.#lastAt = now;
  }
}
