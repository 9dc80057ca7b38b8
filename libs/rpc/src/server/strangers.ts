/** Bounds what callers cost who prove nothing, and never keeps out who does. */
import { isIPv6 } from 'node:net';
import { BoundedMap, CabstandError, TokenBucket } from '@cabstand/core';
import type { Clock } from '@cabstand/core';

export interface StrangerLimits {
  /** Refusals a second, for want of good credentials, that one address is checked for. */
  readonly maxRefusalsPerSecond: number;
  /** Refusals on a connection on which no call has proved anything, before it is closed. */
  readonly maxRefusalsPerConnection: number;
}

/** Seconds for which an address may save up refusals. */
const BURST_SECONDS = 10;
/** Calls of a new connection that are checked whatever its address has done: others may share it. */
const FIRST_CALLS = 3;
const ADDRESSES = 10_000;

interface Connection {
  /** A call on it has proved who it is from. */
  proved: boolean;
  refused: number;
}

/**
 * Credentials are checked at a cost, and refusals are an answer: a flood of bad ones would take both from
 * everybody. Whoever has proved something on a connection is not limited there.
 */
export class Strangers {
  readonly #limits: StrangerLimits;
  readonly #clock: Clock;
  /** By `address:port`, as long as the connection is open. */
  readonly #connections = new Map<string, Connection>();
  readonly #addresses = new BoundedMap<string, TokenBucket>(ADDRESSES);
  readonly #close: (peer: string, refused: number) => void;

  /** @param close ends a connection */
  constructor(
    limits: StrangerLimits,
    clock: Clock,
    close: (peer: string, refused: number) => void,
  ) {
    this.#limits = limits;
    this.#clock = clock;
    this.#close = close;
  }

  opened(peer: string): void {
    this.#connections.set(peer, { proved: false, refused: 0 });
  }

  closed(peer: string): void {
    this.#connections.delete(peer);
  }

  /**
   * Runs the check of a call's credentials, or refuses the call without one: throws RATE_LIMITED where
   * the address has had its share of refusals and the connection has proved nothing.
   */
  async check<T>(peer: string, verify: () => Promise<T>): Promise<T> {
    const connection = this.#connections.get(peer);
    if (connection === undefined || connection.proved) return await verify();
    const now = this.#clock.monotonic();
    const bucket = this.#bucket(addressOf(peer), now);
    if (bucket.left(now) < 1 && connection.refused >= FIRST_CALLS) {
      this.#refuse(peer, connection);
      throw new CabstandError('RATE_LIMITED', 'too many calls from this address were refused', {
        metadata: { limited_by: 'refusals' },
        retryAfterMs: Math.ceil(1000 / this.#limits.maxRefusalsPerSecond),
      });
    }
    try {
      const proof = await verify();
      connection.proved = true;
      return proof;
    } catch (error) {
      if (CabstandError.is(error) && error.class === 'auth') {
        bucket.spend(this.#clock.monotonic());
        this.#refuse(peer, connection);
      }
      throw error;
    }
  }

  #refuse(peer: string, connection: Connection): void {
    connection.refused += 1;
    // The answers to its last calls may be lost with it: they would say the same.
    if (connection.refused === this.#limits.maxRefusalsPerConnection && !connection.proved)
      this.#close(peer, connection.refused);
  }

  #bucket(address: string, now: number): TokenBucket {
    const perSecond = this.#limits.maxRefusalsPerSecond;
    const bucket =
      this.#addresses.get(address) ??
      new TokenBucket(perSecond / 1000, perSecond * BURST_SECONDS, now);
    // The longest unused is forgotten first.
    this.#addresses.set(address, bucket);
    return bucket;
  }
}

/** Whoever has an IPv6 address has the 2^64 beside it. */
export function addressOf(peer: string): string {
  const host = peer.slice(0, peer.lastIndexOf(':'));
  if (!isIPv6(host) || host.includes('.')) return host;
  const [head = '', tail] = host.split('::');
  const groups = head === '' ? [] : head.split(':');
  if (tail !== undefined) {
    const last = tail === '' ? [] : tail.split(':');
    groups.push(...Array<string>(Math.max(0, 8 - groups.length - last.length)).fill('0'), ...last);
  }
  return `${groups.slice(0, 4).join(':')}::/64`;
}
