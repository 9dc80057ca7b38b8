import { CabstandError, linkSignals, throwIfAborted } from '@cabstand/core';
import type { Clock } from '@cabstand/core';
import { HealthService, RouterService } from '@cabstand/rpc';
import type { RpcClient, RpcClientPool, v1 } from '@cabstand/rpc';
import { Breakers } from '../retry/breakers';
import { SILENT_AFTER_MS, SilentRouters } from './silent-routers';

export interface RouterSettings {
  readonly addresses: readonly string[];
  readonly acquireMs: number;
  readonly openMs: number;
}

/**
 * The routers: any of them answers; one that failed is asked last for a while, and one that kept a caller
 * waiting in vain not before it was found to answer, unless there is nothing else.
 */
export class Routers {
  readonly #settings: RouterSettings;
  readonly #pool: RpcClientPool;
  readonly #breakers: Breakers;
  readonly #silent: SilentRouters;
  readonly #clock: Clock;
  #preferred: number;

  constructor(settings: RouterSettings, pool: RpcClientPool, clock: Clock, random: () => number) {
    this.#settings = settings;
    this.#pool = pool;
    this.#clock = clock;
    this.#silent = new SilentRouters(
      (address, signal) => this.#answers(address, signal),
      clock,
      random,
    );
    const { openMs, addresses } = settings;
    this.#breakers = new Breakers({ failures: 1, openMs, limit: addresses.length + 1 }, clock);
    // Clients that were given the same list do not all start at its head.
    this.#preferred = Math.min(addresses.length - 1, Math.floor(random() * addresses.length));
  }

  get size(): number {
    return this.#settings.addresses.length;
  }

  /** All of them, the one that answered last first, those that just failed last, silent ones behind them. */
  order(): string[] {
    const { addresses } = this.#settings;
    const from = Math.max(0, this.#preferred);
    const all = [...addresses.slice(from), ...addresses.slice(0, from)];
    const trouble = (address: string): number =>
      Number(!this.#breakers.allows(address)) + 2 * Number(this.#silent.has(address));
    return all.sort((a, b) => trouble(a) - trouble(b));
  }

  client(address: string): RpcClient {
    return this.#pool.get(address);
  }

  answered(address: string): void {
    this.#breakers.succeeded(address);
    this.#silent.answered(address);
    this.#preferred = this.#settings.addresses.indexOf(address);
  }

  /** It failed, at what began at `since` (monotonic). */
  failed(address: string, since: number): void {
    this.#breakers.failed(address);
    if (this.#clock.monotonic() - since >= SILENT_AFTER_MS) this.#silent.add(address);
  }

  close(): void {
    this.#silent.close();
  }

  /**
   * Asks one router after the other. A router that cannot be reached leads to the next one, and so does
   * one that knows nobody: it may have just started. Throws ROUTER_UNREACHABLE if none answered,
   * otherwise what the first one that answered said.
   *
   * @param evenSilent asks those that are known to be silent, too, where no other one answers
   */
  async ask<T>(
    call: (
      client: RpcClient,
      options: { signal: AbortSignal | undefined; timeoutMs: number },
    ) => Promise<T>,
    signal: AbortSignal | undefined,
    evenSilent = true,
  ): Promise<T> {
    let refusal: CabstandError | undefined;
    let failure: CabstandError | undefined;
    for (const address of this.order()) {
      throwIfAborted(signal);
      if (this.#silent.has(address) && (refusal !== undefined || !evenSilent)) continue;
      const since = this.#clock.monotonic();
      using link = linkSignals([signal]);
      const leave = this.#silent.onFound(address, (error) => link.abort(error));
      try {
        const answer = await call(this.client(address), {
          signal: link.signal,
          timeoutMs: this.#settings.acquireMs,
        });
        this.answered(address);
        return answer;
      } catch (thrown) {
        throwIfAborted(signal);
        const error = CabstandError.from(thrown);
        if (error.class === 'node') {
          this.failed(address, since);
          failure ??= error;
        } else if (KNOWS_NOBODY.has(error.reason)) refusal ??= error;
        else throw error;
      } finally {
        leave();
      }
    }
    throw (
      refusal ??
      new CabstandError(
        'ROUTER_UNREACHABLE',
        `no router answers (${this.#settings.addresses.join(', ')}): ${failure?.message ?? 'none has for a while'}`,
        { cause: failure },
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

  /** Resolves where a router answers, whatever it says. */
  async #answers(address: string, signal: AbortSignal): Promise<void> {
    // A connection that is still coming up may be one to a machine that is gone.
    if (this.client(address).activeCalls === 0) this.#pool.drop(address);
    const options = { signal, timeoutMs: this.#settings.acquireMs };
    try {
      await this.client(address).unary(HealthService.Check, {}, options);
    } catch (thrown) {
      if (NO_WORD.has(CabstandError.from(thrown).reason)) throw thrown;
    }
  }
}

/** Errors that come without a word of the router. */
const NO_WORD: ReadonlySet<string> = new Set([
  'NODE_UNREACHABLE',
  'NODE_STALLED',
  'DEADLINE_EXCEEDED',
  'CANCELLED',
]);

const KNOWS_NOBODY: ReadonlySet<string> = new Set(['NO_NODE', 'MODEL_UNKNOWN', 'NODE_UNKNOWN']);
