/** What was asked through a door, by model and version. */
import { performance } from 'node:perf_hooks';

/** How often, and how long in all. */
export interface Duration {
  count: number;
  ms: number;
}

export interface Counts {
  readonly success: Duration;
  readonly fail: Duration;
  /** Until the first record, or the end where none came. */
  readonly queue: Duration;
  readonly compute: Duration;
  /** Milliseconds since 1970; 0 for none. */
  lastAt: number;
}

/** Models come and go, and their versions count up: the oldest are forgotten. */
const MOST = 1000;

const none = (): Duration => ({ count: 0, ms: 0 });

function add(to: Duration, ms: number): void {
  to.count++;
  to.ms += ms;
}

export class Statistics {
  readonly #byModel = new Map<string, Counts>();

  /** Zeros for what was never asked. */
  of(model: string, version: string): Counts {
    return this.#byModel.get(key(model, version)) ?? empty();
  }

  /** A request has begun. */
  begin(model: string, version: string): Measured {
    const name = key(model, version);
    let counts = this.#byModel.get(name);
    if (counts === undefined) {
      counts = empty();
      this.#byModel.set(name, counts);
      const [oldest] = this.#byModel.keys();
      if (this.#byModel.size > MOST && oldest !== undefined) this.#byModel.delete(oldest);
    }
    return new Measured(counts);
  }
}

/** One request. */
export class Measured {
  readonly #counts: Counts;
  readonly #began = performance.now();
  #computes: number | undefined;
  #over = false;

  constructor(counts: Counts) {
    this.#counts = counts;
  }

  /** The turn has given its first record. */
  record(): void {
    this.#computes ??= performance.now();
  }

  ended(well: boolean): void {
    if (this.#over) return;
    this.#over = true;
    const now = performance.now();
    const computes = this.#computes ?? now;
    if (!well) {
      add(this.#counts.fail, now - this.#began);
      return;
    }
    add(this.#counts.success, now - this.#began);
    add(this.#counts.queue, computes - this.#began);
    add(this.#counts.compute, now - computes);
    this.#counts.lastAt = Date.now();
  }
}

const empty = (): Counts => ({
  ...{ success: none(), fail: none(), queue: none(), compute: none() },
  lastAt: 0,
});

/** Names of models have no blank. */
const key = (model: string, version: string): string => `${model} ${version}`;
