import { BoundedMap } from '@cabstand/core';
import type { Clock } from '@cabstand/core';

/** One process of a node. An empty incarnation stands for any (a node known by address only). */
export interface NodeRef {
  readonly nodeId: string;
  readonly incarnation: string;
}

export function nodeKey(node: NodeRef): string {
  return `${node.nodeId}\n${node.incarnation}`;
}

/**
 * Nodes that just failed or had no room, each for a while. They name an incarnation, so a node that
 * was restarted is a new one.
 */
export class Exclusions {
  readonly #entries: BoundedMap<string, { readonly node: NodeRef; readonly until: number }>;
  readonly #clock: Clock;

  constructor(limit: number, clock: Clock) {
    this.#entries = new BoundedMap(limit);
    this.#clock = clock;
  }

  add(node: NodeRef, forMs: number): void {
    const until = this.#clock.monotonic() + forMs;
    const known = this.#entries.get(nodeKey(node));
    this.#entries.set(nodeKey(node), {
      node: { nodeId: node.nodeId, incarnation: node.incarnation },
      until: Math.max(until, known?.until ?? 0),
    });
  }

  remove(node: NodeRef): void {
    this.#entries.delete(nodeKey(node));
  }

  has(node: NodeRef): boolean {
    const entry = this.#entries.get(nodeKey(node));
    return entry !== undefined && entry.until > this.#clock.monotonic();
  }

  /** Those in force; expired ones are forgotten. */
  current(): NodeRef[] {
    const now = this.#clock.monotonic();
    const current: NodeRef[] = [];
    for (const [key, entry] of [...this.#entries.entries()])
      if (entry.until > now) current.push(entry.node);
      else this.#entries.delete(key);
    return current;
  }
}
