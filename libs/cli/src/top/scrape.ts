import { readPage, samplesOf } from './page';
import type { PageOptions, Sample } from './page';

/** What one service said of itself. */
export type Scraped =
  | {
      readonly kind: 'ok';
      readonly url: string;
      readonly atMs: number;
      readonly samples: readonly Sample[];
    }
  | { readonly kind: 'failed'; readonly url: string; readonly error: string };

/** Services asked at once: a thousand of them shall not need a thousand sockets. */
const AT_ONCE = 32;

/** What is used; the others of a page are not kept. */
const NAMES: ReadonlySet<string> = new Set([
  'cabstand_open_sessions',
  'cabstand_idle_sessions',
  'cabstand_handouts_total',
  'cabstand_reservations',
  'cabstand_records_total',
  'cabstand_resumes_total',
  'cabstand_sessions_ended_total',
  'cabstand_engine_deaths_total',
  'cabstand_first_chunk_seconds_bucket',
  'cabstand_own_key_expiry_timestamp_seconds',
  'cabstand_retired_key_known_since_timestamp_seconds',
  'cabstand_retired_key_last_used_timestamp_seconds',
]);

/** Asks all of them. A service that does not answer in time is told as one that failed; never rejects. */
export async function scrapeAll(
  urls: readonly string[],
  options: PageOptions,
): Promise<readonly Scraped[]> {
  const results: Scraped[] = [];
  const waiting = urls.entries();
  await Promise.all(
    Array.from({ length: Math.min(AT_ONCE, urls.length) }, async () => {
      for (const [i, url] of waiting) results[i] = await scrape(url, options);
    }),
  );
  return results;
}

async function scrape(url: string, options: PageOptions): Promise<Scraped> {
  try {
    const page = await readPage(url, options);
    return { kind: 'ok', url, atMs: performance.now(), samples: samplesOf(page, NAMES) };
  } catch (error) {
    return { kind: 'failed', url, error: error instanceof Error ? error.message : String(error) };
  }
}
