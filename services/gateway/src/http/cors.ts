import type { IncomingMessage } from 'node:http';
import { CabstandError } from '@cabstand/core';

const METHODS = 'GET, POST, DELETE';
const HEADERS = 'authorization, content-type, last-event-id, traceparent';
/** Seconds for which a browser need not ask again. */
const MAX_AGE = '600';

/** Which web pages may call. Callers that are no browsers send no origin, and are not concerned. */
export class Cors {
  readonly #origins: ReadonlySet<string>;

  /** @param origins as browsers send them: `https://example.org`; `*` is any */
  constructor(origins: readonly string[]) {
    this.#origins = new Set(origins);
  }

  /** Headers of all answers to this request. */
  headers(request: IncomingMessage): Readonly<Record<string, string>> {
    const { origin } = request.headers;
    if (origin === undefined || !this.#allows(origin)) return { vary: 'origin' };
    return {
      'access-control-allow-origin': origin,
      'access-control-expose-headers': 'retry-after, www-authenticate',
      vary: 'origin',
    };
  }

  /** Throws PERMISSION_DENIED for a page of elsewhere: browsers would let it call, and only keep the answer from it. */
  check({ headers: { origin } }: IncomingMessage): void {
    if (origin === undefined || this.#allows(origin)) return;
    throw new CabstandError(
      'PERMISSION_DENIED',
      `pages of ${origin.slice(0, 200)} may not call this gateway: http.cors_origins does not name it`,
      { metadata: { field: 'origin', value: origin.slice(0, 200) } },
    );
  }

  /** What a browser wants to know before it sends a request. */
  preflight(): Readonly<Record<string, string>> {
    return {
      'access-control-allow-methods': METHODS,
      'access-control-allow-headers': HEADERS,
      'access-control-max-age': MAX_AGE,
    };
  }

  #allows(origin: string): boolean {
    return this.#origins.has('*') || this.#origins.has(origin);
  }
}
