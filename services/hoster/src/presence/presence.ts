import { BoundedMap } from '@cabstand/core';
import type { Observe } from '@cabstand/sessions';
import { claimOf } from './news';
import { RouterLink } from './router-link';
import type { RouterLinkOptions } from './router-link';

const MOST_USED = 10_000;

/** Keeps this hoster known to all its routers, each on its own: the loss of one disturbs nothing. */
export class Presence {
  readonly #links: readonly RouterLink[];
  /** The leases that were used last: tickets do not live for so many others. */
  readonly #used = new BoundedMap<string, true>(MOST_USED);
  readonly #unsubscribe: () => void;

  constructor(links: readonly RouterLinkOptions[]) {
    this.#links = links.map((options) => new RouterLink(options));
    this.#unsubscribe =
      links[0]?.source.host.onChange(() => this.#beatNow(true)) ?? ((): void => undefined);
  }

  /** Routers that know this hoster now. */
  get registered(): number {
    return this.#links.filter((link) => link.registered).length;
  }

  /** By how much the clock of the router that differs most is ahead of this one, milliseconds. */
  get clockOffsetMs(): number {
    return this.#links
      .map((link) => link.clockOffsetMs)
      .reduce((most, one) => (Math.abs(one) > Math.abs(most) ? one : most), 0);
  }

  start(): void {
    for (const link of this.#links) link.start();
  }

  /** The hoster drains, or takes sessions again: routers should know at once. */
  opennessChanged(): void {
    this.#beatNow(false);
  }

  async stop(reason: string): Promise<void> {
    this.#unsubscribe();
    await Promise.all(this.#links.map((link) => link.stop(reason)));
  }

  /** A session has opened with a ticket of this lease; the first one counts. */
  leaseConsumed(leaseId: string): void {
    if (this.#used.has(leaseId)) return;
    this.#used.set(leaseId, true);
    for (const { news } of this.#links) news.leaseConsumed(leaseId);
  }

  /** Tells routers which durable sessions are here. */
  readonly observe: Observe = (event) => {
    if (event.kind === 'opened' || event.kind === 'epoch_raised') {
      if (event.session.durable)
        for (const { news } of this.#links) news.sessionOpened(claimOf(event.session));
    } else if (event.kind === 'rested' || event.kind === 'stirred') {
      if (event.session.durable)
        for (const { news } of this.#links) news.sessionFlipped(claimOf(event.session));
    } else if (event.kind === 'ended' && event.session.durable)
      for (const { news } of this.#links) news.sessionClosed(claimOf(event.session));
  };

  #beatNow(offersChanged: boolean): void {
    for (const link of this.#links) link.beatNow(offersChanged);
  }
}
