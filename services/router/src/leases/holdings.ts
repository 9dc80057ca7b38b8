import { Counts } from '@cabstand/core';
import type { TicketClaims } from './ticket';

/** Unused reservations that are looked at to take one back: bounds the cost of one hand-out. */
const MOST_LOOKS = 1000;

/** Who holds which unused reservations, by model, the oldest first. */
export class Holdings<L extends Pick<TicketClaims, 'model' | 'principal'>> {
  readonly #models = new Map<string, Map<string, Set<L>>>();
  readonly #totals = new Counts<string>();

  /** Entries of all maps: 0 once every reservation has ended. */
  get size(): number {
    return this.#models.size + this.#totals.size;
  }

  add(lease: L): void {
    const { model, principal } = lease;
    let holders = this.#models.get(model);
    if (holders === undefined) this.#models.set(model, (holders = new Map<string, Set<L>>()));
    const held = holders.get(principal);
    if (held === undefined) holders.set(principal, new Set([lease]));
    else held.add(lease);
    this.#totals.add(principal);
  }

  remove(lease: L): void {
    const { model, principal } = lease;
    const holders = this.#models.get(model);
    const held = holders?.get(principal);
    if (held?.delete(lease) !== true) return;
    if (held.size === 0) holders?.delete(principal);
    if (holders?.size === 0) this.#models.delete(model);
    this.#totals.remove(principal);
  }

  /** Of all models. */
  total(principal: string): number {
    return this.#totals.of(principal);
  }

  held(model: string, principal: string): number {
    return this.#models.get(model)?.get(principal)?.size ?? 0;
  }

  /** Other principals that hold any of the model. */
  others(model: string, principal: string): number {
    const holders = this.#models.get(model);
    return holders === undefined ? 0 : holders.size - (holders.has(principal) ? 1 : 0);
  }

  /** The principal that holds most, if it holds so much more that handing one over evens it out. */
  richest(principal: string): string | undefined {
    let most = this.total(principal) + 1;
    let found: string | undefined;
    for (const [other, total] of this.#totals.entries())
      if (total > most) {
        most = total;
        found = other;
      }
    return found;
  }

  /**
   * The oldest reservation of the model that may be taken from another principal for this one: of the
   * principal that holds most, then the next. Only of those who hold at least two more, so that handing
   * it over makes the two more even, and nobody gets back and forth what there is too little of.
   */
  takeable(model: string, principal: string, passes: (lease: L) => boolean): L | undefined {
    const holders = this.#models.get(model);
    if (holders === undefined || this.others(model, principal) === 0) return undefined;
    const least = this.held(model, principal) + 2;
    const richer = [...holders.values()].filter((held) => held.size >= least);
    richer.sort((a, b) => b.size - a.size);
    let looks = MOST_LOOKS;
    for (const held of richer)
      for (const lease of held) {
        if (looks-- === 0) return undefined;
        if (passes(lease)) return lease;
      }
    return undefined;
  }
}
