import { CabstandError, TokenBucket, invalid, systemClock } from '@cabstand/core';
import type { Clock, Principal } from '@cabstand/core';
import type { Authorizer } from '@cabstand/rpc';
import { AuthorizerWrapper } from './wrapper';

export interface RateLimiterOptions {
  /** Calls a second in the long run, above 0. Default 5,000. */
  readonly requestsPerSecond?: number;
  /** Calls at once, a whole number of at least 1. Default 10,000. */
  readonly burst?: number;
  /** Principals that are kept apart. Default 10,000. */
  readonly maxPrincipals?: number;
  readonly clock?: Clock;
}

/** Buckets looked at for one to forget; the longest unused come first. */
const EVICTION_CANDIDATES = 32;

/** A token bucket for each principal. */
export class RateLimiter {
  readonly #perMs: number;
  readonly #burst: number;
  readonly #maxPrincipals: number;
  readonly #clock: Clock;
  /** In order of last use. */
  readonly #buckets = new Map<string, TokenBucket>();

  constructor(options: RateLimiterOptions = {}) {
    const rate = options.requestsPerSecond ?? 5000;
    if (!(Number.isFinite(rate) && rate > 0))
      throw invalid('INVALID_ARGUMENT', 'requestsPerSecond', rate, 'a number above 0');
    this.#perMs = rate / 1000;
    this.#burst = wholeNumber('burst', options.burst ?? 10_000);
    this.#maxPrincipals = wholeNumber('maxPrincipals', options.maxPrincipals ?? 10_000);
    this.#clock = options.clock ?? systemClock;
  }

  get size(): number {
    return this.#buckets.size;
  }

  /** Takes one call of this principal; throws RATE_LIMITED with the time until the next is free. */
  take(principal: string): void {
    const nowMs = this.#clock.monotonic();
    const bucket = this.#bucket(principal, nowMs);
    if (!bucket.take(nowMs))
      throw new CabstandError('RATE_LIMITED', `${principal} makes too many calls`, {
        metadata: { principal, limited_by: 'rate' },
        // Rounding up plus the last bit of a floating-point sum: never a moment too early.
        retryAfterMs: Math.ceil(bucket.waitMs(nowMs) + 1e-6),
      });
  }

  #bucket(principal: string, nowMs: number): TokenBucket {
    let bucket = this.#buckets.get(principal);
    if (bucket === undefined) {
      if (this.#buckets.size >= this.#maxPrincipals) this.#evict(nowMs);
      bucket = new TokenBucket(this.#perMs, this.#burst, nowMs);
    } else this.#buckets.delete(principal);
    this.#buckets.set(principal, bucket);
    return bucket;
  }

  /** Forgets the fullest of the longest unused: whoever is being limited stays limited. */
  #evict(nowMs: number): void {
    let victim: string | undefined;
    let most = -1;
    let looked = 0;
    for (const [principal, bucket] of this.#buckets) {
      const tokens = bucket.left(nowMs);
      if (tokens > most) [victim, most] = [principal, tokens];
      if (tokens >= this.#burst || ++looked >= EVICTION_CANDIDATES) break;
    }
    if (victim !== undefined) this.#buckets.delete(victim);
  }
}

/** Counts every authenticated call against its principal's rate. */
export class RateLimitedAuthorizer extends AuthorizerWrapper {
  readonly #limiter: RateLimiter;

  constructor(inner: Authorizer, limiter: RateLimiter) {
    super(inner);
    this.#limiter = limiter;
  }

  protected override admit(principal: Principal): void {
    this.#limiter.take(principal.id);
  }
}

function wholeNumber(option: string, value: number): number {
  if (!Number.isInteger(value) || value < 1)
    throw invalid('INVALID_ARGUMENT', option, value, 'a whole number of at least 1');
  return value;
}
