import { BoundedMap } from '@cabstand/core';
import type { RemoteNode } from './types';

/** What a watch brought last: still there when no router is. */
export class NodeCache {
  #nodes: BoundedMap<string, RemoteNode>;
  readonly #limit: number;

  constructor(limit: number) {
    this.#limit = limit;
    this.#nodes = new BoundedMap(limit);
  }

  get nodes(): readonly RemoteNode[] {
    return [...this.#nodes.values()];
  }

  apply(change: {
    readonly snapshot: boolean;
    readonly nodes: readonly RemoteNode[];
    readonly removed: readonly string[];
  }): void {
    if (change.snapshot) this.#nodes = new BoundedMap(this.#limit);
    for (const node of change.nodes) this.#nodes.set(node.nodeId, node);
    for (const nodeId of change.removed) this.#nodes.delete(nodeId);
  }
}
