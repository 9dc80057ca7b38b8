import type { Clock } from '@cabstand/core';
import type { RetrySettings } from './options';

/**
 * A bucket of retries shared by all sessions of a manager: when everything fails, the load that
 * retries add stays bounded. First attempts are free.
 */
export class RetryBudget {
  readonly #clock: Clock;
  readonly #settings: RetrySettings;
  #tokens: number;
  #filledAt: number;

  constructor(settings: RetrySettings, clock: Clock) {
    this.#settings = settings;
    this.#clock = clock;
    this.#tokens = settings.budget;
    this.#filledAt = clock.monotonic();
  }

  /** Takes one retry; false if none is left. */
  take(): boolean {
    this.#fill();
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }

  /** A turn has started. */
  succeeded(): void {
    this.#add(this.#settings.budgetPerSuccess);
  }

  get left(): number {
    this.#fill();
    return this.#tokens;
  }

  #fill(): void {
    const now = this.#clock.monotonic();
    this.#add(((now - this.#filledAt) / 1_000) * this.#settings.budgetPerSecond);
    this.#filledAt = now;
  }

  #add(tokens: number): void {
    this.#tokens = Math.min(this.#settings.budget, this.#tokens + tokens);
  }
}
