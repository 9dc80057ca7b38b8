/** A list without order: adding, removing and drawing one at random take constant time. */
export class SwapList<T extends object> {
  readonly #items: T[] = [];
  readonly #places = new Map<T, number>();

  get length(): number {
    return this.#items.length;
  }

  at(index: number): T | undefined {
    return this.#items[index];
  }

  has(item: T): boolean {
    return this.#places.has(item);
  }

  add(item: T): void {
    if (this.#places.has(item)) return;
    this.#places.set(item, this.#items.length);
    this.#items.push(item);
  }

  /** The last item takes the place of the removed one. */
  remove(item: T): void {
    const place = this.#places.get(item);
    if (place === undefined) return;
    this.#places.delete(item);
    const last = this.#items.pop();
    if (last === undefined || last === item) return;
    this.#items[place] = last;
    this.#places.set(last, place);
  }

  [Symbol.iterator](): ArrayIterator<T> {
    return this.#items[Symbol.iterator]();
  }
}
