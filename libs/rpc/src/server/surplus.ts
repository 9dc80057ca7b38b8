import { CabstandError } from '@cabstand/core';
import type { Clock, Timer } from '@cabstand/core';

/** Connections above the limit that are told why they are refused. Any more are closed unheard. */
export const MOST_SURPLUS = 64;
/** What such a connection has to make its calls and to read the answers, in milliseconds. */
const LINGER_MS = 2000;

/** Connections above a server's limit: each call on them is refused with the reason, and then they are closed. */
export class Surplus {
  readonly #timers = new Map<string, Timer>();
  readonly #limit: number;
  readonly #clock: Clock;
  readonly #cut: (peer: string) => void;

  /** @param cut closes the connection of a peer */
  constructor(limit: number, clock: Clock, cut: (peer: string) => void) {
    this.#limit = limit;
    this.#clock = clock;
    this.#cut = cut;
  }

  /** @param open connections that are open, this one among them */
  opened(peer: string, open: number): void {
    if (open - this.#timers.size <= this.#limit) return;
    const timer = this.#clock.setTimer(() => this.#cut(peer), LINGER_MS, { unref: true });
    this.#timers.set(peer, timer);
  }

  closed(peer: string): void {
    this.#timers.get(peer)?.cancel();
    this.#timers.delete(peer);
  }

  /** Throws RATE_LIMITED for a call on a connection that is one too many. */
  check(peer: string): void {
    if (!this.#timers.has(peer)) return;
    throw new CabstandError('RATE_LIMITED', 'this server has too many connections open', {
      metadata: { limit: String(this.#limit), limited_by: 'connections' },
      retryAfterMs: LINGER_MS,
    });
  }
}
