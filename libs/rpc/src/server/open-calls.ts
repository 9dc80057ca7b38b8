import { CabstandError, Counts } from '@cabstand/core';
import type { RpcServerLimits } from './options';

type CallLimits = Pick<RpcServerLimits, 'maxConcurrentCalls' | 'maxConcurrentCallsPerPrincipal'>;

/** Bounds calls that are open at once: of everybody, and of each principal once it is known. */
export class OpenCalls {
  readonly #limits: CallLimits;
  readonly #byPrincipal = new Counts<string>();
  #all = 0;

  constructor(limits: CallLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#all;
  }

  /** Counts a call in; throws RATE_LIMITED if there are too many. Answers how to count it out: further times count nothing. */
  enter(): () => void {
    const limit = this.#limits.maxConcurrentCalls;
    if (this.#all >= limit)
      throw tooMany('this server has too many calls open', limit, 'concurrent_calls');
    this.#all += 1;
    let inside = true;
    return () => {
      if (inside) this.#all -= 1;
      inside = false;
    };
  }

  /** The same for a call whose principal is known. */
  enterAs(principal: string): () => void {
    const limit = this.#limits.maxConcurrentCallsPerPrincipal;
    if (this.#byPrincipal.of(principal) >= limit)
      throw tooMany(
        `${principal} has too many calls open at this server`,
        limit,
        'concurrent_calls_per_principal',
      );
    this.#byPrincipal.add(principal);
    return () => this.#byPrincipal.remove(principal);
  }
}

function tooMany(message: string, limit: number, limitedBy: string): CabstandError {
  return new CabstandError('RATE_LIMITED', message, {
    metadata: { limit: String(limit), limited_by: limitedBy },
    retryAfterMs: 1000,
  });
}
