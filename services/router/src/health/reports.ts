import { BoundedMap, CabstandError, TokenBucket } from '@cabstand/core';
import type { Clock } from '@cabstand/core';
import type { Node } from '../registry/node';

export interface ReportsOptions {
  readonly clock: Clock;
  readonly reportsPerMinute: number;
  readonly maxReporters: number;
  readonly reportWindowMs: number;
  readonly reportersToBan: number;
}

/** Principals of each node whose last session is remembered. */
const MOST_SERVED = 16;

/** Counts clients' evidence about nodes: who reported what, how often, within a window; who was served. */
export class Reports {
  readonly #buckets: BoundedMap<string, TokenBucket>;
  /** Per node: when each principal last reported it, monotonic. */
  readonly #evidence = new WeakMap<Node, Map<string, number>>();

  /** Per node: when each principal last opened a session there, monotonic. */
  readonly #served = new WeakMap<Node, BoundedMap<string, number>>();

  constructor(private readonly options: ReportsOptions) {
    this.#buckets = new BoundedMap(options.maxReporters);
  }

  get reporters(): number {
    return this.#buckets.size;
  }

  /** Throws RATE_LIMITED where the principal has reported too much. */
  charge(principal: string): void {
    const { clock, reportsPerMinute } = this.options;
    const now = clock.monotonic();
    const bucket =
      this.#buckets.get(principal) ??
      new TokenBucket(reportsPerMinute / 60_000, reportsPerMinute, now);
    this.#buckets.set(principal, bucket);
    if (bucket.take(now)) return;
    throw new CabstandError(
      'RATE_LIMITED',
      `more than ${reportsPerMinute} reports a minute from one principal`,
      {
        metadata: { limit: 'reportsPerMinute' },
        retryAfterMs: Math.ceil(bucket.waitMs(now)),
      },
    );
  }

  /** Notes a report; true if so many principals agree that the node's own answer no longer counts. */
  add(node: Node, principal: string): boolean {
    const { clock, reportWindowMs, reportersToBan } = this.options;
    const now = clock.monotonic();
    const reporters = this.#evidence.get(node) ?? new Map<string, number>();
    this.#evidence.set(node, reporters);
    for (const [who, at] of reporters) if (now - at > reportWindowMs) reporters.delete(who);
    reporters.set(principal, now);
    if (reporters.size < reportersToBan) return false;
    reporters.clear();
    return true;
  }

  /** Whether anybody has reported the node within the window. */
  has(node: Node): boolean {
    const since = this.options.clock.monotonic() - this.options.reportWindowMs;
    return [...(this.#evidence.get(node)?.values() ?? [])].some((at) => at >= since);
  }

  /** Notes a session that has opened at the node. */
  succeeded(node: Node, principal: string): void {
    const served = this.#served.get(node) ?? new BoundedMap<string, number>(MOST_SERVED);
    this.#served.set(node, served);
    served.set(principal, this.options.clock.monotonic());
  }

  /** Whether the node has served anybody but those who reported it within the last `freshMs`. */
  contradicted(node: Node, freshMs: number): boolean {
    const since = this.options.clock.monotonic() - freshMs;
    const reporters = this.#evidence.get(node);
    return [...(this.#served.get(node)?.entries() ?? [])].some(
      ([who, at]) => at >= since && reporters?.has(who) !== true,
    );
  }

  clear(node: Node): void {
    this.#evidence.delete(node);
    this.#served.delete(node);
  }
}
