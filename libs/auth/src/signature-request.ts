import { randomBytes } from 'node:crypto';
import { CabstandError, invalid, systemClock } from '@cabstand/core';
import type { Clock, Principal } from '@cabstand/core';
import type { IncomingRequest } from '@cabstand/rpc';
import { acceptsAudience, listAudiences } from './audience';
import type { Audiences } from './audience';
import { bodyDigest, requestBytes, requestMacBytes } from './canonical';
import { readClaims } from './claims';
import type { Claims } from './claims';
import { clockSkew, macKeyUnknown, wrongAudience } from './failures';
import { principalOf } from './delegation';
import { NOBODYS_KEY, checkPeriod, findKey, unproven, verifyBytes } from './keys';
import type { KeySource, PublicKey } from './keys';
import { isMacOf } from './mac-agreement';
import type { MacKeys } from './mac-keys';
import { NonceCache } from './nonces';
import type { NonceCacheOptions } from './nonces';
import { recheckKey } from './trust';

export interface RequestVerifierOptions extends NonceCacheOptions {
  readonly keys: KeySource;
  /** `host:port` values that callers may have dialled. All spellings of loopback are one. */
  readonly audiences: Audiences;
  /** How old a request may be by this server's clock, milliseconds. Default 60,000. */
  readonly windowMs?: number;
  /** How far a caller's clock may be ahead, milliseconds, at most `windowMs`. Default 1,000 or `windowMs`. */
  readonly aheadMs?: number;
  /** Told of the key of each request that was taken. */
  readonly onKey?: ((key: PublicKey) => void) | undefined;
  /** Keys for MACs that were agreed. Default: none are taken. */
  readonly macs?: MacKeys | undefined;
  readonly clock?: Clock;
}

/** Stands in for a key for MACs that is not known: see NOBODYS_KEY. */
const NOBODYS_SECRET = randomBytes(32);
const AHEAD_MS = 1000;
/** A clock that goes back further was set, not disciplined. */
const CLOCK_STEP_MS = 1000;

type Text = Claims & { readonly method: string; readonly body: string };

/** Of a request that was taken. */
export interface Taken {
  /** Whose it is, as it is known now. */
  readonly key: PublicKey;
  readonly claims: Claims;
}

/** Checks requests that are signed, or have a MAC by a key that was agreed under a signature. */
export class RequestVerifier {
  readonly #keys: KeySource;
  readonly #audiences: Audiences;
  readonly #windowMs: number;
  readonly #aheadMs: number;
  readonly #clock: Clock;
  readonly #nonces: NonceCache;
  readonly #onKey: ((key: PublicKey) => void) | undefined;
  readonly #macs: MacKeys | undefined;
  readonly #taken = new WeakMap<IncomingRequest, Taken>();
  /**
   * What is signed for an earlier time is refused: its nonce may have been used before this server started.
   * Since no server ever takes what is signed more than `aheadMs` ahead, nothing from here on was.
   */
  #freshFromMs: number;
  #latestMs: number;

  constructor(options: RequestVerifierOptions) {
    const windowMs = options.windowMs ?? 60_000;
    if (!Number.isFinite(windowMs) || windowMs <= 0)
      throw invalid('INVALID_ARGUMENT', 'windowMs', windowMs, 'a number above 0');
    const aheadMs = options.aheadMs ?? Math.min(AHEAD_MS, windowMs);
    if (!(aheadMs >= 0 && aheadMs <= windowMs))
      throw invalid('INVALID_ARGUMENT', 'aheadMs', aheadMs, `0 to ${windowMs}`);
    this.#keys = options.keys;
    this.#aheadMs = aheadMs;
    this.#audiences = options.audiences;
    this.#windowMs = windowMs;
    this.#clock = options.clock ?? systemClock;
    this.#nonces = new NonceCache(options);
    this.#onKey = options.onKey;
    this.#macs = options.macs;
    this.#latestMs = this.#clock.now();
    this.#freshFromMs = this.#latestMs + aheadMs;
  }

  /** Rejects with a CabstandError of class `auth`, or RATE_LIMITED where nonces cannot be remembered. */
  async verify(request: IncomingRequest): Promise<Principal> {
    const claims = readClaims(request.metadata);
    const nowMs = this.#now();
    const body = await bodyDigest(request.body);
    const text = { ...claims, method: request.method, body };
    const key = claims.by === 'mac' ? this.#byMac(text) : this.#bySignature(text);
    // Up to here all are told the same. What follows tells of keys, clock and addresses.
    checkPeriod(key, nowMs);
    if (!key.uses.has('request'))
      throw new CabstandError('UNAUTHENTICATED', `key ${key.id} is not for signing requests`);
    this.#checkTime(claims, nowMs);
    const accepted = listAudiences(this.#audiences);
    if (!acceptsAudience(accepted, claims.audience)) throw wrongAudience(claims.audience, accepted);
    const principal = principalOf(key, claims.onBehalfOf);
    // After the signature: strangers must not be able to fill the cache.
    this.#nonces.use(key.id, claims.nonce, claims.timestampMs + this.#windowMs, nowMs);
    this.#onKey?.(key);
    request.onTrust?.(
      recheckKey({ keys: this.#keys, key, onKey: this.#onKey, clock: this.#clock }),
    );
    this.#taken.set(request, { key, claims });
    return principal;
  }

  /** Undefined for a request that was not taken, or not looked at. */
  taken(request: IncomingRequest): Taken | undefined {
    return this.#taken.get(request);
  }

  #bySignature(text: Text): PublicKey {
    const key = findKey(this.#keys, text.keyId);
    const good = verifyBytes(requestBytes(text), key?.key ?? NOBODYS_KEY, text.proof);
    if (key === undefined) throw unproven(text.keyId, 'key_unknown');
    if (!good) throw unproven(text.keyId, 'bad_signature');
    return key;
  }

  /** A key for MACs is good as long as the key under which it was agreed is there, and is the same. */
  #byMac(text: Text): PublicKey {
    const mac = this.#macs?.find(text.keyId);
    const good = isMacOf(text.proof, requestMacBytes(text), mac?.secret ?? NOBODYS_SECRET);
    if (mac === undefined) throw macKeyUnknown(text.keyId, 'it has ended, or was never agreed');
    if (!good || text.audience !== mac.audience)
      throw macKeyUnknown(text.keyId, 'the MAC is another, or something was changed on the way');
    const key = findKey(this.#keys, mac.caller.id);
    if (key !== mac.caller && key?.key.equals(mac.caller.key) !== true) {
      this.#macs?.drop(mac);
      throw macKeyUnknown(text.keyId, `the key ${mac.caller.id} was removed or replaced`);
    }
    this.#macs?.used(mac);
    return key;
  }

  #now(): number {
    const nowMs = this.#clock.now();
    if (nowMs < this.#latestMs - CLOCK_STEP_MS) {
      this.#freshFromMs = nowMs;
      this.#nonces.clockWentBack(nowMs);
      this.#latestMs = nowMs;
    }
    this.#latestMs = Math.max(this.#latestMs, nowMs);
    return nowMs;
  }

  #checkTime(claims: Claims, nowMs: number): void {
    const off = claims.timestampMs - nowMs;
    // Just after the start only what is signed ahead is fresh: callers are told a time that is.
    const toldMs = nowMs < this.#freshFromMs ? nowMs + this.#aheadMs : nowMs;
    const most = off < 0 ? this.#windowMs : this.#aheadMs;
    if (Math.abs(off) > most)
      throw clockSkew(
        `the request was signed ${seconds(Math.abs(off))} s ${off < 0 ? 'ago' : 'in the future'} by ` +
          `this server's clock; at most ${seconds(most)} s are allowed`,
        toldMs,
        claims.audience,
      );
    if (claims.timestampMs < this.#freshFromMs)
      throw clockSkew(
        'the request may have been used before this server started; sign it anew for the time told here',
        toldMs,
        claims.audience,
      );
  }
}

const seconds = (ms: number): string => (ms / 1000).toFixed(1);
