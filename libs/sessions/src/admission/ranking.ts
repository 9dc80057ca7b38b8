interface Ranked<K> {
  readonly key: K;
  readonly order: number;
  weight: number;
}

/**
 * Which of many has most, of equals the first that came: a binary heap that knows where each of them is, so that
 * a change costs O(log n).
 */
export class Ranking<K> {
  readonly #heap: Ranked<K>[] = [];
  readonly #places = new Map<K, number>();
  #came = 0;

  /** What has most; undefined where there is nothing. */
  get top(): K | undefined {
    return this.#heap[0]?.key;
  }

  /** What has most beside `key`. */
  topBeside(key: K): K | undefined {
    if (this.top !== key) return this.top;
    const [, left, right] = this.#heap;
    return left !== undefined && right !== undefined && before(right, left) ? right.key : left?.key;
  }

  weightOf(key: K): number {
    const place = this.#places.get(key);
    return place === undefined ? 0 : this.#at(place).weight;
  }

  /** One of no weight is left out. */
  set(key: K, weight: number): void {
    const place = this.#places.get(key);
    if (place === undefined) {
      if (weight <= 0) return;
      this.#places.set(key, this.#heap.length);
      this.#heap.push({ key, order: this.#came++, weight });
      this.#rise(this.#heap.length - 1);
    } else if (weight > 0) {
      this.#at(place).weight = weight;
      this.#sink(this.#rise(place));
    } else this.#remove(place);
  }

  clear(): void {
    this.#heap.length = 0;
    this.#places.clear();
  }

  #remove(place: number): void {
    this.#swap(place, this.#heap.length - 1);
    const removed = this.#heap.pop();
    if (removed !== undefined) this.#places.delete(removed.key);
    if (place < this.#heap.length) this.#sink(this.#rise(place));
  }

  /** Answers where it is then. */
  #rise(from: number): number {
    let place = from;
    while (place > 0) {
      const above = (place - 1) >> 1;
      if (!before(this.#at(place), this.#at(above))) break;
      this.#swap(place, above);
      place = above;
    }
    return place;
  }

  #sink(from: number): void {
    for (let place = from; ;) {
      let most = place;
      for (const below of [2 * place + 1, 2 * place + 2])
        if (below < this.#heap.length && before(this.#at(below), this.#at(most))) most = below;
      if (most === place) return;
      this.#swap(place, most);
      place = most;
    }
  }

  #swap(a: number, b: number): void {
    const [one, other] = [this.#at(a), this.#at(b)];
    this.#heap[a] = other;
    this.#heap[b] = one;
    this.#places.set(other.key, a).set(one.key, b);
  }

  #at(place: number): Ranked<K> {
    return this.#heap[place] as Ranked<K>;
  }
}

function before<K>(one: Ranked<K>, other: Ranked<K>): boolean {
  return one.weight > other.weight || (one.weight === other.weight && one.order < other.order);
}
