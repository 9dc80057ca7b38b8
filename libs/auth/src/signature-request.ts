import { CabstandError, invalid, systemClock } from '@cabstand/core';
import type { Clock, Principal } from '@cabstand/core';
import type { IncomingRequest } from '@cabstand/rpc';
import type { Metadata } from '@grpc/grpc-js';
import { acceptsAudience, listAudiences } from './audience';
import type { Audiences } from './audience';
import { ON_BEHALF_OF, REQUEST_HEADERS, bodyDigest, requestBytes } from './canonical';
import { clockSkew, credentialsMissing, malformed, wrongAudience } from './failures';
import { principalOf } from './delegation';
import { NAME } from './key-format';
import { NOBODYS_KEY, checkPeriod, findKey, isSignature, unproven, verifyBytes } from './keys';
import type { KeySource, PublicKey } from './keys';
import { NonceCache } from './nonces';
import type { NonceCacheOptions } from './nonces';
import { hasHeader, header } from './scheme';
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
  readonly clock?: Clock;
}

const NONCE = /^[A-Za-z0-9_-]{16,64}$/;
const TIMESTAMP = /^[0-9]{1,15}$/;
const LONGEST_AUDIENCE = 300;
const AHEAD_MS = 1000;
/** A clock that goes back further was set, not disciplined. */
const CLOCK_STEP_MS = 1000;

interface Claims {
  readonly keyId: string;
  readonly audience: string;
  readonly timestampMs: number;
  readonly nonce: string;
  readonly signature: string;
  readonly onBehalfOf: string | undefined;
}

/** Checks signed requests. */
export class RequestVerifier {
  readonly #keys: KeySource;
  readonly #audiences: Audiences;
  readonly #windowMs: number;
  readonly #aheadMs: number;
  readonly #clock: Clock;
  readonly #nonces: NonceCache;
  readonly #onKey: ((key: PublicKey) => void) | undefined;
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
    this.#latestMs = this.#clock.now();
    this.#freshFromMs = this.#latestMs + aheadMs;
  }

  /** Rejects with a CabstandError of class `auth`, or RATE_LIMITED where nonces cannot be remembered. */
  async verify(request: IncomingRequest): Promise<Principal> {
    const claims = readClaims(request.metadata);
    const nowMs = this.#now();
    const key = findKey(this.#keys, claims.keyId);
    const body = await bodyDigest(request.body);
    const bytes = requestBytes({ ...claims, method: request.method, body });
    const good = verifyBytes(bytes, key?.key ?? NOBODYS_KEY, claims.signature);
    // Up to here all are told the same. What follows tells of keys, clock and addresses.
    if (key === undefined) throw unproven(claims.keyId, 'key_unknown');
    if (!good) throw unproven(claims.keyId, 'bad_signature');
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
    return principal;
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

function readClaims(metadata: Metadata): Claims {
  const keyId = required(metadata, REQUEST_HEADERS.keyId);
  const audience = required(metadata, REQUEST_HEADERS.audience);
  const timestamp = required(metadata, REQUEST_HEADERS.timestamp);
  const nonce = required(metadata, REQUEST_HEADERS.nonce);
  const signature = required(metadata, REQUEST_HEADERS.signature);
  if (audience.length > LONGEST_AUDIENCE)
    throw malformed(`${REQUEST_HEADERS.audience}: expected host:port`);
  if (!TIMESTAMP.test(timestamp))
    throw malformed(`${REQUEST_HEADERS.timestamp}: expected milliseconds since 1970 in digits`);
  if (!NONCE.test(nonce))
    throw malformed(`${REQUEST_HEADERS.nonce}: expected 16 to 64 of A-Z a-z 0-9 _ -`);
  if (!isSignature(signature))
    throw malformed(`${REQUEST_HEADERS.signature}: expected 64 bytes in base64url without padding`);
  const onBehalfOf = named(metadata);
  return { keyId, audience, timestampMs: Number(timestamp), nonce, signature, onBehalfOf };
}

/** Whom a gateway speaks for; undefined where the header is missing. */
function named(metadata: Metadata): string | undefined {
  if (!hasHeader(metadata, ON_BEHALF_OF)) return undefined;
  const name = header(metadata, ON_BEHALF_OF);
  if (name !== undefined && NAME.test(name)) return name;
  throw malformed(`${ON_BEHALF_OF}: expected 1 to 128 of A-Z a-z 0-9 . _ @ : -`);
}

function required(metadata: Metadata, name: string): string {
  const value = header(metadata, name);
  if (value !== undefined && value !== '') return value;
  throw hasHeader(metadata, name)
    ? malformed(`header ${name}: expected exactly one value`)
    : credentialsMissing(`header ${name} is missing`);
}

const seconds = (ms: number): string => (ms / 1000).toFixed(1);
