import { randomUUID } from 'node:crypto';
import { BoundedMap, CabstandError, invalid, systemClock } from '@cabstand/core';
import type { Clock, Role } from '@cabstand/core';
import { SignJWT, decodeJwt } from 'jose';
import { acceptsAudience, normalizeAudience } from './audience';
import { ClockOffsets } from './clock-offset';
import type { PrivateKey } from './keys';

/** A token, or what gives one: called again when the last one is about to expire. */
export type TokenSource = string | (() => string | Promise<string>);

/** Gives tokens that are good for a while yet, and a new one on demand. */
export interface Tokens {
  /**
   * For the server that was dialled by `audience`, `host:port`.
   *
   * @param onBehalfOf whom a gateway speaks for
   */
  get(audience: string, onBehalfOf?: string): Promise<string>;
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

  /** Rejects with CREDENTIALS_AUDIENCE where the token names servers, and not that one: it must not see it. */
  async get(audience: string, onBehalfOf?: string): Promise<string> {
    if (onBehalfOf !== undefined)
      throw new CabstandError(
        'CREDENTIALS_MISSING',
        'a token says whom it is for: to speak for others takes a key (auth.key)',
      );
    const token = await this.#newest();
    checkAudience(token, audience);
    return token;
  }

  #newest(): string | Promise<string> {
    if (typeof this.#source === 'string') return this.#source;
    if (this.#cached !== undefined && this.#now() < this.#cached.replaceAtMs)
      return this.#cached.token;
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

const HOST_PORT = /:\d{1,5}$/;

/** For whom a token says that it is; empty where it does not say, or is none. */
export function audiencesOf(token: string): readonly string[] {
  try {
    return [decodeJwt(token).aud ?? []].flat();
  } catch {
    return [];
  }
}

/** A server that gets a token for another one could use it there. What cannot be read, servers judge. */
function checkAudience(token: string, audience: string): void {
  const named = audiencesOf(token);
  const wholeSubnet = !named.every((one) => HOST_PORT.test(one));
  if (wholeSubnet || named.length === 0 || acceptsAudience(named, audience)) return;
  throw new CabstandError(
    'CREDENTIALS_AUDIENCE',
    `the token is for ${named.join(', ')}, not for ${audience}, so it is not sent there: make one with ` +
      `\`cabstand keys token NAME --audience ${audience}\`, several where several servers are called, or use a key`,
    { metadata: { got: named.join(','), expected: audience } },
  );
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
  readonly issuer?: string;
  /** How long a token is good, milliseconds. Default 300,000. */
  readonly lifetimeMs?: number;
  readonly clock?: Clock;
}

/** Servers whose tokens a client keeps; others' are made anew. */
const MAX_SERVERS = 1024;
const MAX_FOR_OTHERS = 8192;

/**
 * Makes short-lived tokens about one's own principal from one's own key, one for each server: a server
 * cannot use what it is sent at another.
 */
export class MintedTokens implements Tokens {
  readonly #options: MintedTokensOptions;
  readonly #lifetimeMs: number;
  readonly #offsets: ClockOffsets;
  #caches = new BoundedMap<string, CachedTokens>(MAX_SERVERS);
  /** Tokens about others, by server and name. */
  #forOthers = new BoundedMap<string, CachedTokens>(MAX_FOR_OTHERS);

  constructor(options: MintedTokensOptions) {
    const lifetimeMs = options.lifetimeMs ?? 300_000;
    if (!(lifetimeMs >= 1000))
      throw invalid('INVALID_ARGUMENT', 'lifetimeMs', lifetimeMs, 'at least 1000');
    this.#options = options;
    this.#lifetimeMs = lifetimeMs;
    this.#offsets = new ClockOffsets(options.clock ?? systemClock);
  }

  get(audience: string, onBehalfOf?: string): Promise<string> {
    return this.#cacheOf(normalizeAudience(audience), onBehalfOf).get(audience);
  }

  renew(error: CabstandError): Promise<boolean> {
    // The server repeats for whom the token was. Where it does not, nothing says which is to be made anew.
    const { audience } = error.metadata;
    // Nor does anything say for whom it was.
    this.#forOthers = new BoundedMap<string, CachedTokens>(MAX_FOR_OTHERS);
    if (audience === undefined) {
      this.#caches = new BoundedMap<string, CachedTokens>(MAX_SERVERS);
      return Promise.resolve(true);
    }
    const server = normalizeAudience(audience);
    this.#offsets.learn(error, server);
    return this.#cacheOf(server).renew();
  }

  #cacheOf(server: string, onBehalfOf?: string): CachedTokens {
    const caches = onBehalfOf === undefined ? this.#caches : this.#forOthers;
    const name = onBehalfOf === undefined ? server : `${server} ${onBehalfOf}`;
    const known = caches.get(name);
    if (known !== undefined) return known;
    const now = (): number => this.#offsets.now(server);
    const cache = new CachedTokens(() => this.#mint(server, now(), onBehalfOf), {
      refreshBeforeMs: Math.min(30_000, this.#lifetimeMs / 4),
      now,
    });
    caches.set(name, cache);
    return cache;
  }

  #mint(server: string, nowMs: number, onBehalfOf: string | undefined): Promise<string> {
    const { key, issuer } = this.#options;
    return mintToken(key, {
      subject: onBehalfOf ?? key.principal,
      roles: onBehalfOf === undefined ? [...key.roles] : ['client'],
      ...(onBehalfOf === undefined ? {} : { actor: key.principal }),
      audience: [server],
      ...(issuer === undefined ? {} : { issuer }),
      nowMs,
      lifetimeMs: this.#lifetimeMs,
    });
  }
}

export interface TokenClaims {
  readonly subject: string;
  readonly roles: readonly Role[];
  /** Who speaks for the subject: the key's own principal. Default: the subject itself. */
  readonly actor?: string;
  /** `host:port` of the servers that may take it; or a subnet's name: for any of its servers. */
  readonly audience: readonly string[];
  readonly issuer?: string;
  /** Milliseconds since the epoch. */
  readonly nowMs: number;
  readonly lifetimeMs: number;
}

/** A token signed with EdDSA. A key that is not an issuer's can speak for its own principal only. */
export function mintToken(key: PrivateKey, claims: TokenClaims): Promise<string> {
  const issuedAt = Math.floor(claims.nowMs / 1000);
  const { actor } = claims;
  const jwt = new SignJWT({
    roles: claims.roles,
    ...(actor === undefined ? {} : { act: { sub: actor } }),
  })
    .setProtectedHeader({ alg: 'EdDSA', kid: key.id, typ: 'JWT' })
    .setSubject(claims.subject)
    // One audience as a text: what other tools expect.
    .setAudience(claims.audience.length === 1 ? (claims.audience[0] ?? '') : [...claims.audience])
    .setIssuedAt(issuedAt)
    .setNotBefore(issuedAt)
    .setExpirationTime(Math.ceil((claims.nowMs + claims.lifetimeMs) / 1000))
    .setJti(randomUUID());
  if (claims.issuer !== undefined) jwt.setIssuer(claims.issuer);
  return jwt.sign(key.key);
}
