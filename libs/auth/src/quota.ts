import { CabstandError, invalid } from '@cabstand/core';

export interface QuotaOptions {
  /** What is counted, for messages: `sessions`. */
  readonly what: string;
  /** Most at once for one principal, a whole number of at least 1. */
  readonly perPrincipal: number;
  /** Principals counted at once, a whole number of at least 1. Default 100,000. */
  readonly maxPrincipals?: number;
}

/** How many of something each principal has at once. Holds only principals that have some. */
export class Quota {
  readonly #options: QuotaOptions;
  readonly #maxPrincipals: number;
  readonly #counts = new Map<string, number>();

  constructor(options: QuotaOptions) {
    const { perPrincipal, maxPrincipals = 100_000 } = options;
    for (const [name, value] of Object.entries({ perPrincipal, maxPrincipals }))
      if (!Number.isInteger(value) || value < 1)
        throw invalid('INVALID_ARGUMENT', name, value, 'a whole number of at least 1');
    this.#options = options;
    this.#maxPrincipals = maxPrincipals;
  }

  /** How many this principal has. */
  count(principal: string): number {
    return this.#counts.get(principal) ?? 0;
  }

  /** Principals that have some. */
  get size(): number {
    return this.#counts.size;
  }

  /**
   * Counts one more; call what it returns when that one is gone (again does nothing). Throws
   * QUOTA_EXCEEDED.
   */
  take(principal: string): () => void {
    const { what, perPrincipal } = this.#options;
    const count = this.count(principal);
    if (count >= perPrincipal)
      throw new CabstandError('QUOTA_EXCEEDED', `${principal} has ${count} ${what} already`, {
        metadata: { principal, limit: String(perPrincipal), what },
      });
    if (count === 0 && this.#counts.size >= this.#maxPrincipals)
      throw new CabstandError('QUOTA_EXCEEDED', `too many principals have ${what}`, {
        metadata: { limit: String(this.#maxPrincipals), what },
      });
    this.#counts.set(principal, count + 1);
    let taken = true;
    return () => {
      if (!taken) return;
      taken = false;
      const left = this.count(principal) - 1;
      if (left > 0) this.#counts.set(principal, left);
      else this.#counts.delete(principal);
    };
  }
}
