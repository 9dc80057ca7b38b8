import type { Clock, Timer } from '@cabstand/core';
import type { Node } from '../registry/node';

export interface BansOptions {
  readonly clock: Clock;
  readonly banMs: number;
  readonly maxBanMs: number;
  readonly maxBannedShare: number;
  /** Nodes that are not OFFLINE. */
  readonly aliveNodes: () => number;
  /** A ban began or ended. */
  readonly changed: (node: Node) => void;
}

interface Record {
  /** How often it was banned, less what success has taken off. */
  level: number;
  timer: Timer | undefined;
  /** Monotonic time of the last change of the level. */
  since: number;
}

/**
 * Keeps nodes that failed their callers out of placement for a while. Bans double with each further
 * one and are taken off, level by level, by sessions that open well. They belong to an incarnation:
 * a new process starts clean.
 */
export class Bans {
  readonly #records = new Map<Node, Record>();
  #active = 0;

  constructor(private readonly options: BansOptions) {}

  /** Nodes banned now. */
  get active(): number {
    return this.#active;
  }

  /** Nodes with a past, banned or not. */
  get size(): number {
    return this.#records.size;
  }

  /** True if the node is banned now because of this call. False if it was already, or too many are. */
  ban(node: Node): boolean {
    if (node.bannedUntil !== undefined) return false;
    const { clock, banMs, maxBanMs, maxBannedShare } = this.options;
    const most = Math.max(1, Math.floor(this.options.aliveNodes() * maxBannedShare));
    if (maxBannedShare === 0 || this.#active >= most) return false;
    const record = this.#records.get(node) ?? { level: 0, timer: undefined, since: 0 };
    this.#records.set(node, record);
    const length = Math.min(maxBanMs, banMs * 2 ** record.level);
    record.level++;
    record.since = clock.monotonic();
    node.bannedUntil = clock.now() + length;
    this.#active++;
    record.timer = clock.setTimer(() => this.#lift(node), length, { unref: true });
    this.options.changed(node);
    return true;
  }

  /** A session has opened there: takes one level off, at most one per `banMs`. */
  succeeded(node: Node): void {
    const record = this.#records.get(node);
    if (record === undefined || node.bannedUntil !== undefined) return;
    const now = this.options.clock.monotonic();
    if (now - record.since < this.options.banMs) return;
    record.since = now;
    record.level--;
    if (record.level <= 0) this.#records.delete(node);
  }

  /** The node is gone. */
  forget(node: Node): void {
    if (node.bannedUntil !== undefined) this.#lift(node);
    this.#records.delete(node);
  }

  stop(): void {
    for (const record of this.#records.values()) record.timer?.cancel();
  }

  #lift(node: Node): void {
    const record = this.#records.get(node);
    record?.timer?.cancel();
    if (record !== undefined) {
      record.timer = undefined;
      record.since = this.options.clock.monotonic();
    }
    node.bannedUntil = undefined;
    this.#active--;
    this.options.changed(node);
  }
}
