/** Connections above a server's limit: told why they are refused, and then closed. */
import { ServerInterceptingCall, status as grpcStatus } from '@grpc/grpc-js';
import type { ServerInterceptor } from '@grpc/grpc-js';
import { CabstandError, TokenBucket } from '@cabstand/core';
import type { Clock, Timer } from '@cabstand/core';
import { toStatus } from '../status';

/**
 * Connections above the limit that are open at once. Any more are closed unheard: each takes a file
 * descriptor, and a flood would take those of everybody else.
 */
export const MOST_SURPLUS = 1024;
/** Of these so many are told at once… */
const AT_ONCE = 200;
/** …and then so many a second: to shake hands and to answer costs the processor about a millisecond. */
const PER_SECOND = 100;
/**
 * What one has to make its first call, in milliseconds, and how often. That this process stood still is not
 * counted as silence: a wait has one turn of the event loop at least.
 */
const LINGER = { ms: 1000, waits: 5 };
/** …and then to read the answer, and to be answered others that it has begun with it. */
const READ = { ms: 100, waits: 2 };
const RETRY_AFTER_MS = 2000;

export interface SurplusParts {
  readonly clock: Clock;
  /** Connections that are open. */
  readonly open: () => number;
  /** Closes the connection of a peer. */
  readonly cut: (peer: string) => void;
  /** A call was refused. */
  readonly refused: (path: string, peer: string, error: CabstandError) => void;
}

interface Told {
  /** A call of it was refused. */
  readonly answered: boolean;
  readonly timer: Timer;
}

/**
 * Refuses each call on a connection that is one too many, with the reason. Those that come faster than they
 * can be told wait unread, for that or for a place that becomes free.
 */
export class Surplus {
  /** Those that are told. */
  readonly #told = new Map<string, Told>();
  /** Those that wait, with what lets them in. */
  readonly #line = new Map<string, () => void>();
  readonly #pace: TokenBucket;
  #next: Timer | undefined;

  constructor(
    private readonly limit: number,
    private readonly parts: SurplusParts,
  ) {
    this.#pace = new TokenBucket(PER_SECOND / 1000, AT_ONCE, parts.clock.monotonic());
  }

  /** @param begin lets the connection speak: now, or when it is its turn */
  opened(peer: string, begin: () => void): void {
    this.#line.set(peer, begin);
    this.#advance();
  }

  closed(peer: string): void {
    this.#line.delete(peer);
    this.#told.get(peer)?.timer.cancel();
    this.#told.delete(peer);
    this.#advance();
  }

  /** Refuses calls before anything of them is read: what they would bring is not bounded by any limit here. */
  readonly interceptor: ServerInterceptor = ({ path }, next) => {
    const peer = this.#told.size === 0 ? '' : next.getPeer();
    // grpc-js asks for no more than what any call has; a wrapper around each would cost each.
    if (!this.#told.has(peer)) return next as never;
    const call = new ServerInterceptingCall(next, {
      start: (start) =>
        start({
          onReceiveMetadata: () => {
            const error = this.#refusal();
            const { details, metadata } = toStatus(error);
            call.sendStatus({ code: grpcStatus.RESOURCE_EXHAUSTED, details, metadata });
            // Further ones give it no more time.
            if (this.#told.get(peer)?.answered === false) this.#cutAfter(peer, READ, true);
            this.parts.refused(path, peer, error);
          },
        }),
    });
    return call;
  };

  /** Lets in who comes first in the line, as long as there is a place or it is time to tell one. */
  #advance(): void {
    const { clock, open } = this.parts;
    for (const [peer, begin] of this.#line) {
      // The line counts as open, and so does the first one of it.
      const served = open() - this.#told.size - this.#line.size;
      if (served >= this.limit) {
        if (!this.#pace.take(clock.monotonic())) break;
        this.#cutAfter(peer, LINGER);
      }
      this.#line.delete(peer);
      begin();
    }
    this.#arm();
  }

  #arm(): void {
    if (this.#line.size === 0 || this.#next !== undefined) return;
    const { clock } = this.parts;
    const again = (): void => {
      this.#next = undefined;
      this.#advance();
    };
    const waitMs = Math.max(1, this.#pace.waitMs(clock.monotonic()));
    this.#next = clock.setTimer(again, waitMs, { unref: true });
  }

  #cutAfter(peer: string, { ms, waits }: typeof LINGER, answered = false): void {
    const { clock, cut } = this.parts;
    this.#told.get(peer)?.timer.cancel();
    const waited = (): void => {
      if (waits > 1) this.#cutAfter(peer, { ms, waits: waits - 1 }, answered);
      else cut(peer);
    };
    this.#told.set(peer, { answered, timer: clock.setTimer(waited, ms, { unref: true }) });
  }

  #refusal(): CabstandError {
    return new CabstandError(
      'RATE_LIMITED',
      `this server has ${this.limit} connections open, the most that it takes: make calls share them, ` +
        'add a server, or raise its rpc.max_connections',
      {
        metadata: { limit: String(this.limit), limited_by: 'connections' },
        retryAfterMs: RETRY_AFTER_MS,
      },
    );
  }
}
