import { Counts } from '@cabstand/core';
import type { Principal } from '@cabstand/core';
import type { Gateway } from './view';

/** Gateways, by what they follow the nodes with. As many entries as there are watches, at most. */
export class Gateways {
  readonly #streams = new Counts<string>();

  get known(): number {
    return this.#streams.size;
  }

  /** Call when somebody begins to follow the nodes, and what it answers when that ends. */
  follows({ id, roles }: Principal): () => void {
    if (!roles.has('gateway') || roles.has('admin')) return () => undefined;
    this.#streams.add(id);
    return () => this.#streams.remove(id);
  }

  list(most: number): readonly Gateway[] {
    return [...this.#streams.entries()]
      .slice(0, most)
      .map(([principal, streams]) => ({ principal, streams }));
  }
}
