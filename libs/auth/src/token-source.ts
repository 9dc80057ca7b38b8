import { randomUUID } from 'node:crypto';
import { CabstandError, invalid, systemClock } from '@cabstand/core';
import type { Clock, Role } from '@cabstand/core';
import { SignJWT, decodeJwt } from 'jose';
import { ClockOffsets } from './clock-offset';
import type { PrivateKey } from './keys';

/** A token, or what gives one: called again when the last one is about to expire. */
export type TokenSource = string | (() => string | Promise<string>);

/** Gives tokens that are good for a while yet, and a new one on demand. */
export interface Tokens {
  get(): Promise<string>;
  /** Gets a new one though the old one looks good; false if there can be no other. */
  renew(error: CabstandError): Promise<boolean>;
}

export interface CachedTokensOptions {
  /** How long before its expiry a token is replaced, milliseconds. Default 30,000. */
  readonly refreshBeforeMs?: number;
  /** Milliseconds since the epoch. Default: the system's clock. */
  readonly now?: () => number;
}

/** Keeps the token of a source until shortly before it expires. One fetch at a time. */
export class CachedTokens implements Tokens {
  readonly #source: TokenSource;
  readonly #refreshBeforeMs: number;
  readonly #now: () => number;
  #cached: { readonly token: string; readonly replaceAtMs: number } | undefined;
  #fetching: Promise<string> | undefined;

  constructor(source: TokenSource, options: CachedTokensOptions = {}) {
    this.#source = source;
    this.#refreshBeforeMs = options.refreshBeforeMs ?? 30_000;
    this.#now = options.now ?? (() => systemClock.now());
  }

  get(): Promise<string> {
    if (typeof this.#source === 'string') return Promise.resolve(this.#source);
    if (this.#cached !== undefined && this.#now() < this.#cached.replaceAtMs)
      return Promise.resolve(this.#cached.token);
    return this.#fetch(this.#source);
  }

  async renew(): Promise<boolean> {
    if (typeof this.#source === 'string') return false;
    // A fetch under way already brings a new one: calls that failed together renew together.
    const refused = this.#cached?.token;
    this.#cached = undefined;
    return (await this.#fetch(this.#source)) !== refused;
  }

  #fetch(source: () => string | Promise<string>): Promise<string> {
    this.#fetching ??= this.#load(source).finally(() => {
      this.#fetching = undefined;
    });
    return this.#fetching;
  }

  async #load(source: () => string | Promise<string>): Promise<string> {
    const token = await source();
    if (typeof token !== 'string' || token === '')
      throw new CabstandError('CREDENTIALS_MISSING', 'the token source gave no token');
    this.#cached = { token, replaceAtMs: expiryMs(token) - this.#refreshBeforeMs };
    return token;
  }
}

/** When a token expires; Infinity if it does not say (the server will). */
function expiryMs(token: string): number {
  try {
    const { exp } = decodeJwt(token);
    return typeof exp === 'number' ? exp * 1000 : Infinity;
  } catch {
    return Infinity;
  }
}

export interface MintedTokensOptions {
  readonly key: PrivateKey;
  /** The subnet's name. */
  readonly audience: string;
  readonly issuer?: string;
  /** How long a token is good, milliseconds. Default 300,000. */
  readonly lifetimeMs?: number;
  readonly clock?: Clock;
}

/** Makes short-lived tokens about one's own principal from one's own key. */
export class MintedTokens implements Tokens {
  readonly #options: MintedTokensOptions;
  readonly #lifetimeMs: number;
  readonly #offsets: ClockOffsets;
  readonly #cache: CachedTokens;

  constructor(options: MintedTokensOptions) {
    const lifetimeMs = options.lifetimeMs ?? 300_000;
    if (!(lifetimeMs >= 1000))
      throw invalid('INVALID_ARGUMENT', 'lifetimeMs', lifetimeMs, 'at least 1000');
    const clock = options.clock ?? systemClock;
    this.#options = options;
    this.#lifetimeMs = lifetimeMs;
    this.#offsets = new ClockOffsets(clock);
    const now = (): number => this.#offsets.now(options.audience);
    this.#cache = new CachedTokens(() => this.#mint(now()), {
      refreshBeforeMs: Math.min(30_000, lifetimeMs / 4),
      now,
    });
  }

  get(): Promise<string> {
    return this.#cache.get();
  }

  renew(error: CabstandError): Promise<boolean> {
    this.#offsets.learn(error, this.#options.audience);
    return this.#cache.renew();
  }

  #mint(nowMs: number): Promise<string> {
    const { key, audience, issuer } = this.#options;
    return mintToken(key, {
      subject: key.principal,
      roles: [...key.roles],
      audience,
      ...(issuer === undefined ? {} : { issuer }),
      nowMs,
      lifetimeMs: this.#lifetimeMs,
    });
  }
}

export interface TokenClaims {
  readonly subject: string;
  readonly roles: readonly Role[];
  readonly audience: string;
  readonly issuer?: string;
  /** Milliseconds since the epoch. */
  readonly nowMs: number;
  readonly lifetimeMs: number;
}

/** A token signed with EdDSA. A key that is not an issuer's can speak for its own principal only. */
export function mintToken(key: PrivateKey, claims: TokenClaims): Promise<string> {
  const issuedAt = Math.floor(claims.nowMs / 1000);
  const jwt = new SignJWT({ roles: claims.roles })
    .setProtectedHeader({ alg: 'EdDSA', kid: key.id, typ: 'JWT' })
    .setSubject(claims.subject)
    .setAudience(claims.audience)
    .setIssuedAt(issuedAt)
    .setNotBefore(issuedAt)
    .setExpirationTime(Math.ceil((claims.nowMs + claims.lifetimeMs) / 1000))
    .setJti(randomUUID());
  if (claims.issuer !== undefined) jwt.setIssuer(claims.issuer);
  return jwt.sign(key.key);
}
