import { BoundedMap } from '@cabstand/core';
import type { Clock } from '@cabstand/core';

export interface BreakerSettings {
  /** Failures in a row that open a breaker. */
  readonly failures: number;
  /** How long an open breaker lets nothing through, in milliseconds. */
  readonly openMs: number;
  /** Breakers kept; the ones untouched for longest are forgotten. */
  readonly limit: number;
}

type BreakerState =
  /** Lets everything through. */
  | { readonly kind: 'closed'; readonly failures: number }
  /** Lets nothing through until `until` (monotonic). */
  | { readonly kind: 'open'; readonly until: number }
  /** One probe is under way; lets nothing else through. A probe that never reports ends at `until`. */
  | { readonly kind: 'half-open'; readonly until: number };

const CLOSED: BreakerState = { kind: 'closed', failures: 0 };

/**
 * Circuit breakers by key. Made here and not from a library because a breaker must be asked before a
 * call is placed ("who is out?") and runs on the injected clock.
 */
export class Breakers {
  readonly #states: BoundedMap<string, BreakerState>;
  readonly #settings: BreakerSettings;
  readonly #clock: Clock;

  constructor(settings: BreakerSettings, clock: Clock) {
    this.#settings = settings;
    this.#clock = clock;
    this.#states = new BoundedMap(settings.limit);
  }

  /** Whether a call would be let through now. Changes nothing. */
  allows(key: string): boolean {
    return this.waitMs(key) === 0;
  }

  /** Milliseconds until a call would be let through; 0 for now. */
  waitMs(key: string): number {
    const state = this.#states.get(key) ?? CLOSED;
    return state.kind === 'closed' ? 0 : Math.max(0, state.until - this.#clock.monotonic());
  }

  /** Starts a call; false if it must not be made. Its outcome must be told. */
  enter(key: string): boolean {
    if (!this.allows(key)) return false;
    const state = this.#states.get(key) ?? CLOSED;
    if (state.kind !== 'closed')
      this.#states.set(key, {
        kind: 'half-open',
        until: this.#clock.monotonic() + this.#settings.openMs,
      });
    return true;
  }

  succeeded(key: string): void {
    this.#states.delete(key);
  }

  /** The call ended without telling anything about the node: another probe may start. */
  undecided(key: string): void {
    const state = this.#states.get(key);
    if (state?.kind === 'half-open')
      this.#states.set(key, { kind: 'open', until: this.#clock.monotonic() });
  }

  failed(key: string): void {
    const state = this.#states.get(key) ?? CLOSED;
    const failures = state.kind === 'closed' ? state.failures + 1 : this.#settings.failures;
    this.#states.set(
      key,
      failures >= this.#settings.failures
        ? { kind: 'open', until: this.#clock.monotonic() + this.#settings.openMs }
        : { kind: 'closed', failures },
    );
  }

  get size(): number {
    return this.#states.size;
  }
}
