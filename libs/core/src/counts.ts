/** How many there are of each key. A key of which there is none takes no memory. */
export class Counts<K> {
  readonly #counts = new Map<K, number>();

  /** Keys of which there is any. */
  get size(): number {
    return this.#counts.size;
  }

  of(key: K): number {
    return this.#counts.get(key) ?? 0;
  }

  add(key: K): void {
    this.#counts.set(key, this.of(key) + 1);
  }

  /** One less; nothing where there is none. */
  remove(key: K): void {
    const left = this.of(key) - 1;
    if (left > 0) this.#counts.set(key, left);
    else this.#counts.delete(key);
  }

  /** None is left of this one. */
  clear(key: K): void {
    this.#counts.delete(key);
  }

  entries(): IterableIterator<[K, number]> {
    return this.#counts.entries();
  }
}
