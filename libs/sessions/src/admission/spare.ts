import type { Session } from '../session';
import { bytesHeld } from './held';
import { Ranking } from './ranking';

/** Sessions that may end for others: of each principal the one that has been here longest first. */
export class Spare {
  readonly #piles = new Map<string, Map<Session, number>>();
  readonly #counts = new Ranking<string>();
  readonly #bytes = new Ranking<string>();
  #size = 0;
  #total = 0;

  get size(): number {
    return this.#size;
  }

  /** What they hold together, as of when each was put here. */
  get bytes(): number {
    return this.#total;
  }

  /** One that is not here. */
  put(session: Session): void {
    const { principal } = session;
    let pile = this.#piles.get(principal);
    if (pile === undefined) this.#piles.set(principal, (pile = new Map<Session, number>()));
    const bytes = bytesHeld(session);
    pile.set(session, bytes);
    this.#change(principal, 1, bytes);
  }

  remove(session: Session): void {
    const { principal } = session;
    const pile = this.#piles.get(principal);
    const bytes = pile?.get(session);
    if (pile === undefined || bytes === undefined) return;
    pile.delete(session);
    if (pile.size === 0) this.#piles.delete(principal);
    this.#change(principal, -1, -bytes);
  }

  /** The first of this principal that is not among `chosen`. */
  firstOf(principal: string, chosen: ReadonlySet<Session>): Session | undefined {
    for (const session of this.#piles.get(principal)?.keys() ?? [])
      if (!chosen.has(session)) return session;
    return undefined;
  }

  /** The first of the principal that has most of them here, of those that may give one. */
  first(
    chosen: ReadonlySet<Session>,
    mayGive: (principal: string) => boolean = () => true,
  ): Session | undefined {
    const { top } = this.#counts;
    const first = top !== undefined && mayGive(top) ? this.firstOf(top, chosen) : undefined;
    if (first !== undefined) return first;
    let found: Session | undefined;
    let most = 0;
    for (const [principal, { size }] of this.#piles) {
      if (size <= most || !mayGive(principal)) continue;
      const session = this.firstOf(principal, chosen);
      if (session !== undefined) [found, most] = [session, size];
    }
    return found;
  }

  /** Those that hold `bytes` together, or all: of whoever holds most, the first, again and again. */
  holding(bytes: number): readonly Session[] {
    const found: Session[] = [];
    const next = new Map<string, Iterator<readonly [Session, number]>>();
    for (let left = bytes; left > 0;) {
      const { top } = this.#bytes;
      const pile = top === undefined ? undefined : this.#piles.get(top);
      if (top === undefined || pile === undefined) break;
      const iterator = next.get(top) ?? pile.entries();
      next.set(top, iterator);
      const one = iterator.next();
      if (one.done === true) break;
      const [session, weight] = one.value;
      this.#bytes.set(top, this.#bytes.weightOf(top) - weight);
      left -= weight;
      found.push(session);
    }
    // They are still here.
    for (const session of found) {
      const { principal } = session;
      const weight = this.#piles.get(principal)?.get(session) ?? 0;
      this.#bytes.set(principal, this.#bytes.weightOf(principal) + weight);
    }
    return found;
  }

  #change(principal: string, count: number, bytes: number): void {
    this.#size += count;
    this.#total += bytes;
    this.#counts.set(principal, this.#counts.weightOf(principal) + count);
    this.#bytes.set(principal, this.#bytes.weightOf(principal) + bytes);
  }
}
