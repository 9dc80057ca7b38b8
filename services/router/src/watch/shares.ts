import type { Watcher } from './watcher';

/** Who has which watches, the oldest first. */
export class WatchShares {
  readonly #held = new Map<string, Set<Watcher>>();

  get size(): number {
    return this.#held.size;
  }

  add(watcher: Watcher): void {
    const held = this.#held.get(watcher.principal);
    if (held === undefined) this.#held.set(watcher.principal, new Set([watcher]));
    else held.add(watcher);
  }

  remove(watcher: Watcher): void {
    const held = this.#held.get(watcher.principal);
    held?.delete(watcher);
    if (held?.size === 0) this.#held.delete(watcher.principal);
  }

  held(principal: string): number {
    return this.#held.get(principal)?.size ?? 0;
  }

  /**
   * The newest watch of the principal that has most, if it has at least two more than this one: then
   * handing one over makes them more even, and nobody gets back and forth what there is too little of.
   */
  takeable(principal: string): Watcher | undefined {
    let most = this.held(principal) + 1;
    let richest: Set<Watcher> | undefined;
    for (const held of this.#held.values())
      if (held.size > most) {
        most = held.size;
        richest = held;
      }
    return richest === undefined ? undefined : [...richest].at(-1);
  }
}
