import { isAlive } from './node';
import type { Node } from './node';

/** Models that nodes have and do not serve now, by name: what to say of a model that nobody offers. */
export class Conditions {
  readonly #nodes = new Map<string, Set<Node>>();

  get size(): number {
    return this.#nodes.size;
  }

  /** Call before a node's `others` are replaced, and when it is removed. */
  forget(node: Node): void {
    for (const { name } of node.others) {
      const nodes = this.#nodes.get(name);
      nodes?.delete(node);
      if (nodes?.size === 0) this.#nodes.delete(name);
    }
  }

  /** Call when a node's `others` were replaced. */
  learn(node: Node): void {
    for (const { name } of node.others) {
      const nodes = this.#nodes.get(name) ?? new Set();
      this.#nodes.set(name, nodes);
      nodes.add(node);
    }
  }

  /** `loading` where any node that is alive loads it, `failed` where some could not and none does. */
  of(model: string): 'loading' | 'failed' | undefined {
    let failed = false;
    for (const node of this.#nodes.get(model) ?? []) {
      if (!isAlive(node)) continue;
      for (const { name, state } of node.others) {
        if (name !== model) continue;
        if (state === 'loading' || state === 'verifying') return 'loading';
        failed ||= state === 'failed';
      }
    }
    return failed ? 'failed' : undefined;
  }
}
