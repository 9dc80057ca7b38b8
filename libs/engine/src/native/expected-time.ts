/** Of the latest run in what runs are expected to take. */
const WEIGHT = 0.25;

/** How long the next run of a graph takes, by those before: long ones leave the event loop free. */
export class ExpectedTime {
  readonly #longMs: number;
  #ms: number;

  /** @param longMs runs that take longer, in milliseconds, are long */
  constructor(longMs: number) {
    this.#longMs = longMs;
    // Nobody knows yet: should it be long, it can be stopped.
    this.#ms = longMs + 1;
  }

  get isLong(): boolean {
    return this.#ms > this.#longMs;
  }

  /** @param begun by `performance.now()` */
  tookSince(begun: number): void {
    this.#ms += (performance.now() - begun - this.#ms) * WEIGHT;
  }
}
