import { Ranking } from './ranking';

/** One principal's part. */
interface Part<T> {
  readonly held: Set<T>;
  /** How many more it waits for. */
  wanting: number;
}

/**
 * Who holds how many of the slots that all principals share. Anybody may borrow what nobody else wants. The
 * fair share of each is the capacity divided by the number of principals that hold or want a slot, at least
 * one (max-min fairness, all weights equal: Bertsekas and Gallager, Data Networks, 6.5.2): whoever is below
 * it takes from whoever is above.
 */
export class Shares<T> {
  readonly #parts = new Map<string, Part<T>>();
  /** How many each holds. */
  readonly #sizes = new Ranking<string>();
  #size = 0;

  /** Slots that are held. */
  get size(): number {
    return this.#size;
  }

  /** Whether nobody holds or wants a slot. */
  get empty(): boolean {
    return this.#parts.size === 0;
  }

  take(principal: string, slot: T): void {
    const { held } = this.#part(principal);
    held.add(slot);
    this.#sizes.set(principal, held.size);
    this.#size++;
  }

  /** Whether the principal had it. */
  giveBack(principal: string, slot: T): boolean {
    const { held } = this.#parts.get(principal) ?? {};
    if (held?.delete(slot) !== true) return false;
    this.#sizes.set(principal, held.size);
    this.#size--;
    this.#tidy(principal);
    return true;
  }

  wants(principal: string): void {
    this.#part(principal).wanting++;
  }

  wantsNoMore(principal: string): void {
    const part = this.#parts.get(principal);
    if (part === undefined) return;
    part.wanting--;
    this.#tidy(principal);
  }

  /** What the principal holds, in the order in which it took it. */
  heldBy(principal: string): ReadonlySet<T> {
    return this.#parts.get(principal)?.held ?? new Set();
  }

  all(): readonly (readonly [principal: string, held: ReadonlySet<T>])[] {
    return [...this.#parts].map(([principal, { held }]) => [principal, held] as const);
  }

  /** Fair share of `capacity` while this principal wants a slot, too; a fraction. */
  portion(principal: string, capacity: number): number {
    return capacity / (this.#parts.size + (this.#parts.has(principal) ? 0 : 1));
  }

  /** The same as a number of slots, at least one. */
  share(principal: string, capacity: number): number {
    return Math.max(1, Math.floor(this.portion(principal, capacity)));
  }

  /** Whether one more slot is the principal's by right. */
  below(principal: string, capacity: number): boolean {
    return this.heldBy(principal).size < this.share(principal, capacity);
  }

  /** Slots above shares that would be taken back for a principal that holds none. */
  lent(capacity: number): number {
    const share = Math.max(1, Math.floor(capacity / (this.#parts.size + 1)));
    let lent = 0;
    for (const { held } of this.#parts.values()) lent += Math.max(0, held.size - share);
    return lent;
  }

  /**
   * The principal that is most above its share, for this one to take from; undefined where this one is not below its
   * share, or nobody is above. What is `gone` is there, and does not count.
   */
  giver(
    principal: string,
    capacity: number,
    gone: Iterable<T & { readonly principal: string }>,
  ): string | undefined {
    if (!this.below(principal, capacity)) return undefined;
    const share = this.share(principal, capacity);
    const { top } = this.#sizes;
    // One that is below its share is not above it.
    if (top === undefined || this.#sizes.weightOf(top) <= share) return undefined;
    const less = new Map<string, number>();
    for (const slot of gone)
      if (this.heldBy(slot.principal).has(slot))
        less.set(slot.principal, (less.get(slot.principal) ?? 0) + 1);
    if (!less.has(top)) return top;
    let giver: string | undefined;
    let most = share;
    for (const [other, { held }] of this.#parts) {
      const counting = held.size - (less.get(other) ?? 0);
      if (other !== principal && counting > most) [giver, most] = [other, counting];
    }
    return giver;
  }

  #part(principal: string): Part<T> {
    const part = this.#parts.get(principal) ?? { held: new Set<T>(), wanting: 0 };
    this.#parts.set(principal, part);
    return part;
  }

  #tidy(principal: string): void {
    const part = this.#parts.get(principal);
    if (part?.held.size === 0 && part.wanting === 0) this.#parts.delete(principal);
  }
}
