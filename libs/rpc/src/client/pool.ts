import { CabstandError, every, systemClock } from '@cabstand/core';
import type { Clock, Timer } from '@cabstand/core';
import { wholeNumber } from '../server/options';
import { RpcClient } from './client';
import { normalizeClientOptions } from './options';
import type { RpcClientOptions } from './options';

export interface RpcClientPoolOptions extends RpcClientOptions {
  /** Most connections at once. Default 1000. */
  readonly maxConnections?: number;
  /** A connection without calls is closed after this, in milliseconds. Default 60000. */
  readonly idleMs?: number;
}

/** One client per address, closed when idle, never more than the limit. */
export class RpcClientPool {
  readonly #options: RpcClientOptions;
  readonly #maxConnections: number;
  readonly #clock: Clock;
  readonly #clients = new Map<string, RpcClient>();
  readonly #sweep: Timer;
  #closed = false;

  constructor(options: RpcClientPoolOptions = {}, clock: Clock = systemClock) {
    const { maxConnections = 1000, idleMs = 60_000, ...rest } = options;
    wholeNumber('maxConnections', maxConnections);
    wholeNumber('idleMs', idleMs);
    normalizeClientOptions(rest);
    this.#options = rest;
    this.#maxConnections = maxConnections;
    this.#clock = clock;
    this.#sweep = every(clock, idleMs, () => this.#closeIdle(idleMs));
  }

  get size(): number {
    return this.#clients.size;
  }

  /** The client for an address. Use it at once: ask again for the next call. Throws LIMIT_EXCEEDED. */
  get(address: string): RpcClient {
    if (this.#closed) throw new CabstandError('CANCELLED', 'the connections were closed');
    const known = this.#clients.get(address);
    if (known !== undefined && !known.closed) return known;
    if (this.#clients.size >= this.#maxConnections) this.#closeIdle(0, 1);
    if (this.#clients.size >= this.#maxConnections)
      throw new CabstandError(
        'LIMIT_EXCEEDED',
        `all ${this.#maxConnections} connections are in use`,
        { metadata: { limit: String(this.#maxConnections) } },
      );
    const client = new RpcClient(address, this.#options, this.#clock);
    this.#clients.set(address, client);
    return client;
  }

  /** Closes the connection to an address, if there is one. */
  drop(address: string): void {
    this.#clients.get(address)?.close();
    this.#clients.delete(address);
  }

  close(): void {
    this.#closed = true;
    this.#sweep.cancel();
    for (const client of this.#clients.values()) client.close();
    this.#clients.clear();
  }

  #closeIdle(idleMs: number, most = Infinity): void {
    const idle = [...this.#clients.values()]
      .filter((client) => client.closed || (client.activeCalls === 0 && client.idleMs >= idleMs))
      .sort((a, b) => b.idleMs - a.idleMs);
    for (const client of idle.slice(0, most)) this.drop(client.address);
  }
}
