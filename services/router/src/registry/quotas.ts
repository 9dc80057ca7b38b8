import { CabstandError, Counts } from '@cabstand/core';
import type { Node, Offer } from './node';
import type { Registration } from './validate';

export interface QuotaOptions {
  readonly maxNodesPerPrincipal: number;
  readonly maxOffers: number;
}

/** What nodes take of the router's memory: how many each principal has, and what all of them offer. */
export class Quotas {
  readonly #nodes = new Counts<string>();
  #offers = 0;
  /** The texts that nodes have in common, each kept once, with the number of offers that use it. */
  readonly #texts = new Map<string, { readonly text: string; uses: number }>();

  constructor(private readonly options: QuotaOptions) {}

  /**
   * Throws QUOTA_EXCEEDED if the registration would be too much once `leaving` are gone. `same` is the
   * node that only tells again what it is.
   */
  check(
    principal: string,
    { offers }: Registration,
    leaving: ReadonlySet<Node>,
    same: Node | undefined,
  ): void {
    const { maxNodesPerPrincipal } = this.options;
    let nodes = this.#nodes.of(principal);
    let freed = 0;
    for (const node of leaving) {
      if (node.principal === principal && node !== same) nodes--;
      freed += node.offers.length;
    }
    if (same === undefined && nodes >= maxNodesPerPrincipal)
      throw overQuota(
        'max_nodes_per_principal',
        maxNodesPerPrincipal,
        `nodes of principal ${principal}, offline ones included`,
      );
    this.#checkOffers(offers.length - freed);
  }

  /** Gives the node these offers. Throws QUOTA_EXCEEDED, before anything has changed. */
  setOffers(node: Node, offers: readonly Offer[]): void {
    this.#checkOffers(offers.length - node.offers.length);
    const before = node.offers;
    node.offers = offers.map((offer) => ({
      ...offer,
      name: this.#keep(offer.name),
      version: this.#keep(offer.version),
      digest: this.#keep(offer.digest),
      provider: this.#keep(offer.provider),
      kind: this.#keep(offer.kind),
      reference: this.#keep(offer.reference),
    }));
    this.#offers += offers.length - before.length;
    this.#release(before);
  }

  isFull(principal: string): boolean {
    return this.#nodes.of(principal) >= this.options.maxNodesPerPrincipal;
  }

  added({ principal }: Node): void {
    this.#nodes.add(principal);
  }

  removed(node: Node): void {
    this.#nodes.remove(node.principal);
    this.#offers -= node.offers.length;
    this.#release(node.offers);
  }

  #checkOffers(more: number): void {
    const { maxOffers } = this.options;
    if (more > 0 && this.#offers + more > maxOffers)
      throw overQuota('max_offers', maxOffers, 'models on all nodes');
  }

  #keep(text: string): string {
    let known = this.#texts.get(text);
    if (known === undefined) this.#texts.set(text, (known = { text, uses: 0 }));
    known.uses++;
    return known.text;
  }

  #release(offers: readonly Offer[]): void {
    for (const { name, version, digest, provider, kind, reference } of offers)
      for (const text of [name, version, digest, provider, kind, reference]) {
        const known = this.#texts.get(text);
        if (known !== undefined && --known.uses === 0) this.#texts.delete(text);
      }
  }
}

/** `limit` is the key of the configuration's section `registry`. */
export function overQuota(limit: string, value: number, what: string): CabstandError {
  return new CabstandError(
    'QUOTA_EXCEEDED',
    `the router takes at most ${value} ${what}; raise registry.${limit} if all of them are wanted`,
    { metadata: { limit: `registry.${limit}`, value: String(value) }, retryAfterMs: 10_000 },
  );
}
