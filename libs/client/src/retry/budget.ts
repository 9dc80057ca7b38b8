import { TokenBucket } from '@cabstand/core';
import type { Clock } from '@cabstand/core';
import type { RetrySettings } from './options';

/**
 * A bucket of retries shared by all sessions of a manager: when everything fails, the load that
 * retries add stays bounded. First attempts are free.
 */
export class RetryBudget {
  readonly #clock: Clock;
  readonly #perSuccess: number;
  readonly #bucket: TokenBucket;

  constructor({ budget, budgetPerSecond, budgetPerSuccess }: RetrySettings, clock: Clock) {
    this.#clock = clock;
    this.#perSuccess = budgetPerSuccess;
    this.#bucket = new TokenBucket(budgetPerSecond / 1000, budget, clock.monotonic());
  }

  /** Takes one retry; false if none is left. */
  take(): boolean {
    return this.#bucket.take(this.#clock.monotonic());
  }

  /** A turn has started. */
  succeeded(): void {
    this.#bucket.add(this.#perSuccess);
  }

  get left(): number {
    return this.#bucket.left(this.#clock.monotonic());
  }
}
