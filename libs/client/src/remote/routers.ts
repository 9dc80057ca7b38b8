import { CabstandError, throwIfAborted } from '@cabstand/core';
import type { Clock } from '@cabstand/core';
import { RouterService } from '@cabstand/rpc';
import type { RpcClient, RpcClientPool, v1 } from '@cabstand/rpc';
import { Breakers } from '../retry/breakers';

export interface RouterSettings {
  readonly addresses: readonly string[];
  readonly acquireMs: number;
  readonly openMs: number;
}

/** The routers: any of them answers; one that failed is asked last for a while. */
export class Routers {
  readonly #settings: RouterSettings;
  readonly #pool: RpcClientPool;
  readonly #breakers: Breakers;
  #preferred: number;

  constructor(settings: RouterSettings, pool: RpcClientPool, clock: Clock, random: () => number) {
    this.#settings = settings;
    this.#pool = pool;
    const { openMs, addresses } = settings;
    this.#breakers = new Breakers({ failures: 1, openMs, limit: addresses.length + 1 }, clock);
    // Clients that were given the same list do not all start at its head.
    this.#preferred = Math.min(addresses.length - 1, Math.floor(random() * addresses.length));
  }

  get size(): number {
    return this.#settings.addresses.length;
  }

  /** All of them, the one that answered last first, those that just failed last. */
  order(): string[] {
    const { addresses } = this.#settings;
    const from = Math.max(0, this.#preferred);
    const all = [...addresses.slice(from), ...addresses.slice(0, from)];
    return all.sort(
      (a, b) => Number(!this.#breakers.allows(a)) - Number(!this.#breakers.allows(b)),
    );
  }

  client(address: string): RpcClient {
    return this.#pool.get(address);
  }

  answered(address: string): void {
    this.#breakers.succeeded(address);
    this.#preferred = this.#settings.addresses.indexOf(address);
  }

  failed(address: string): void {
    this.#breakers.failed(address);
  }

  /**
   * Asks one router after the other. A router that cannot be reached leads to the next one, and so does
   * one that knows nobody: it may have just started. Throws ROUTER_UNREACHABLE if none answered,
   * otherwise what the first one that answered said.
   */
  async ask<T>(
    call: (
      client: RpcClient,
      options: { signal: AbortSignal | undefined; timeoutMs: number },
    ) => Promise<T>,
    signal: AbortSignal | undefined,
  ): Promise<T> {
    let refusal: CabstandError | undefined;
    let failure: CabstandError | undefined;
    for (const address of this.order()) {
      throwIfAborted(signal);
      try {
        const answer = await call(this.client(address), {
          signal,
          timeoutMs: this.#settings.acquireMs,
        });
        this.answered(address);
        return answer;
      } catch (thrown) {
        throwIfAborted(signal);
        const error = CabstandError.from(thrown);
        if (error.class === 'node') {
          this.failed(address);
          failure ??= error;
        } else if (KNOWS_NOBODY.has(error.reason)) refusal ??= error;
        else throw error;
      }
    }
    throw (
      refusal ??
      new CabstandError(
        'ROUTER_UNREACHABLE',
        `no router answers (${this.#settings.addresses.join(', ')}): ${failure?.message ?? 'none is configured'}`,
        { cause: failure, ...(failure === undefined ? {} : { metadata: failure.metadata }) },
      )
    );
  }

  /** Tells a router about a node. Evidence is worth one try. */
  report(request: v1.ReportRequest): void {
    const address = this.order()[0];
    if (address === undefined) return;
    try {
      this.client(address)
        .unary(RouterService.rpc_report, request, { timeoutMs: this.#settings.acquireMs })
        .catch(() => undefined);
    } catch {
      // The connections were closed meanwhile.
    }
  }
}

const KNOWS_NOBODY: ReadonlySet<string> = new Set(['NO_NODE', 'MODEL_UNKNOWN', 'NODE_UNKNOWN']);
