import { BoundedMap } from '@cabstand/core';
import type { RemoteNode } from './types';

/** What a watch brought last, still there when no router is; and what was placed since. */
export class NodeCache {
  readonly #limit: number;
  #nodes: BoundedMap<string, RemoteNode>;
  /** By address: sessions sent there that the node's own figures do not show yet. */
  readonly #placed: BoundedMap<string, number>;

  constructor(limit: number) {
    this.#limit = limit;
    this.#nodes = new BoundedMap(limit);
    this.#placed = new BoundedMap(limit);
  }

  get nodes(): readonly RemoteNode[] {
    return [...this.#nodes.values()];
  }

  get(nodeId: string): RemoteNode | undefined {
    return this.#nodes.get(nodeId);
  }

  apply(change: {
    readonly snapshot: boolean;
    readonly nodes: readonly RemoteNode[];
    readonly removed: readonly string[];
  }): void {
    if (change.snapshot) this.#nodes = new BoundedMap(this.#limit);
    for (const node of change.nodes) {
      this.#nodes.set(node.nodeId, node);
      this.#placed.delete(node.address);
    }
    for (const nodeId of change.removed) this.#nodes.delete(nodeId);
  }

  placedAt(address: string): number {
    return this.#placed.get(address) ?? 0;
  }

  /** One more was sent there; `-1`: one that was did not stay. */
  place(address: string, by: 1 | -1): void {
    const placed = this.placedAt(address) + by;
    if (placed > 0) this.#placed.set(address, placed);
    else this.#placed.delete(address);
  }
}
