/** Says whose turn gets memory next, and whose row is given up where it runs short. */
import type { LanguageSequence, LanguageTurn } from '../turn';
import { goesBefore } from '../../../runtime/scheduler';
import type { Caches } from '../cache/caches';
import type { Cohort } from '../cache/cohort';

/** Tokens of an answer of unknown length that there is to be memory for when it begins. */
const EXPECTED_TOKENS = 64;

export class Memory {
  readonly #caches: Caches;
  /** Those that have a row, in the order in which they got it. */
  readonly #holders = new Set<LanguageSequence>();
  /** Rows that were given up, to be computed again. */
  preemptions = 0;

  constructor(caches: Caches) {
    this.#caches = caches;
  }

  /**
   * Of those that wait for a row the one to get it, if there is memory for it: of the owner that has the least, the
   * most urgent. Nobody overtakes it, however small. Rows of those that cannot be computed now are given up for it.
   */
  next(
    waiting: readonly LanguageSequence[],
    isReady: (sequence: LanguageSequence) => boolean,
  ): LanguageSequence | undefined {
    const [first, ...others] = waiting;
    if (first === undefined) return undefined;
    const held = this.#heldByOwner();
    const isBefore = (a: LanguageSequence, b: LanguageSequence): boolean => {
      const difference = (held.get(a.owner) ?? 0) - (held.get(b.owner) ?? 0);
      return difference === 0 ? goesBefore(a, b) : difference < 0;
    };
    const leader = others.reduce((best, one) => (isBefore(one, best) ? one : best), first);
    while (!this.#fits(leader)) {
      const stalled = [...this.#holders].find((holder) => !isReady(holder));
      if (stalled === undefined) return undefined;
      this.preempt(stalled);
    }
    return leader;
  }

  /** Gives a sequence a row. False: there is no memory for it yet. */
  begin(sequence: LanguageSequence, turn: LanguageTurn): boolean {
    if (!this.#caches.begin(sequence, turn.tokens.length)) return false;
    sequence.reserved = this.#needs(turn);
    this.#holders.add(sequence);
    return true;
  }

  /** Makes room for so many more tokens in each row of a cohort, at the cost of others, or of some of its own. */
  fit(cohort: Cohort, tokens: number): void {
    while (cohort.size > 0) {
      if (this.#caches.fit(cohort, tokens)) return;
      this.#caches.squeeze();
      if (this.#caches.fit(cohort, tokens)) return;
      const victim = this.#victim();
      if (victim === undefined) return;
      this.preempt(victim);
    }
  }

  preempt(sequence: LanguageSequence): void {
    this.preemptions += 1;
    this.drop(sequence);
  }

  drop(sequence: LanguageSequence): void {
    this.#holders.delete(sequence);
    sequence.reserved = 0;
    sequence.prefilled = 0;
    this.#caches.drop(sequence);
  }

  /** Bytes for its prompt, and for what it is to answer as far as that is known. */
  #needs({ tokens, prompt, maxTokens, isBounded }: LanguageTurn): number {
    const left = maxTokens - (tokens.length - prompt);
    return this.#caches.bytesFor(
      tokens.length + Math.min(left, isBounded ? left : EXPECTED_TOKENS),
    );
  }

  /** One that is alone always does: no context is longer than the memory allows. */
  #fits({ turn }: LanguageSequence): boolean {
    if (turn?.state !== 'running' || this.#holders.size === 0) return true;
    const { maxBytes, activeBytes } = this.#caches;
    let reserved = this.#needs(turn);
    for (const holder of this.#holders) reserved += this.#heldBy(holder);
    return (
      reserved <= maxBytes && activeBytes + this.#caches.bytesFor(turn.tokens.length) <= maxBytes
    );
  }

  /** Of the owner that has the most, the last one to begin. */
  #victim(): LanguageSequence | undefined {
    const held = this.#heldByOwner();
    const most = Math.max(...held.values());
    return [...this.#holders].findLast(({ owner }) => held.get(owner) === most);
  }

  #heldByOwner(): Map<string, number> {
    const held = new Map<string, number>();
    for (const holder of this.#holders)
      held.set(holder.owner, (held.get(holder.owner) ?? 0) + this.#heldBy(holder));
    return held;
  }

  #heldBy({ reserved, slot }: LanguageSequence): number {
    return Math.max(reserved, this.#caches.bytesFor(slot?.length ?? 0));
  }
}
