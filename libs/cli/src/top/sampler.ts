import type { v1 } from '@cabstand/rpc';
import type { Connection } from '../subnet/connection';
import type { PageOptions } from './page';
import { Gains } from './rates';
import { scrapeAll } from './scrape';
import type { Scraped } from './scrape';
import type { TopView } from './types';
import { topView } from './view';

/** Rounds of scrapes that rates are taken over: of one alone they would jump. */
const ROUNDS = 6;

type ScrapeOptions = Omit<PageOptions, 'signal'>;

/** Turns what the router and the services say now into what is shown. */
export class Sampler {
  readonly #connection: Connection;
  readonly #urls: readonly string[];
  readonly #options: ScrapeOptions;
  readonly #rounds: (readonly Scraped[])[] = [];

  constructor(connection: Connection, urls: readonly string[], options: ScrapeOptions) {
    this.#connection = connection;
    this.#urls = urls;
    this.#options = options;
  }

  /** Whether there is anything to scrape. */
  get scrapes(): boolean {
    return this.#urls.length > 0;
  }

  async scrape(signal: AbortSignal): Promise<void> {
    if (!this.scrapes) return;
    this.#rounds.push(await scrapeAll(this.#urls, { ...this.#options, signal }));
    if (this.#rounds.length > ROUNDS) this.#rounds.shift();
  }

  view(nodes: readonly v1.NodeInfo__Output[], nowMs = Date.now()): TopView {
    const now = this.#rounds.at(-1) ?? [];
    const gains = new Gains(this.#rounds[0] ?? [], now);
    const { routers } = this.#connection;
    return topView({ routers, nodes, scrapes: now, gains, nowMs });
  }
}
