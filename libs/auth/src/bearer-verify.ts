import { createHash } from 'node:crypto';
import { BoundedMap, CabstandError, ROLES, invalid, show, systemClock } from '@cabstand/core';
import type { Clock, Principal, Role } from '@cabstand/core';
import { errors, jwtVerify } from 'jose';
import type { JWTPayload } from 'jose';
import type { IncomingRequest } from '@cabstand/rpc';
import { acceptsAudience, listAudiences } from './audience';
import type { Audiences } from './audience';
import { principalOf } from './delegation';
import { clockSkew, malformed, wrongAudience } from './failures';
import { NAME } from './key-format';
import { NOBODYS_KEY, ceilingOf, checkPeriod, findKey, unproven } from './keys';
import type { KeySource, PublicKey } from './keys';
import { recheckKey } from './trust';

export interface TokenVerifierOptions {
  readonly keys: KeySource;
  /** `host:port` values of this server: tokens must be for one of them. */
  readonly audiences: Audiences;
  /** If given, tokens for this whole subnet are taken too, though each server of it can use them elsewhere. */
  readonly subnet?: string;
  /** Longest time from now to a token's end, milliseconds. Default 86,400,000, a day. */
  readonly maxLifetimeMs?: number;
  /** If given, tokens must come from this issuer. */
  readonly issuer?: string;
  /** How far an issuer's clock may be off, milliseconds, at most 300,000. Default 30,000. */
  readonly clockToleranceMs?: number;
  /** Tokens whose signature need not be checked again, at least 1. Default 1,000. */
  readonly cachedTokens?: number;
  /** Told of the key that signed each token that was taken. */
  readonly onKey?: ((key: PublicKey) => void) | undefined;
  readonly clock?: Clock;
}

/** A token whose signature was good. */
interface Verified {
  readonly principal: Principal;
  readonly key: PublicKey;
  readonly audience: readonly string[];
  readonly fromMs: number;
  readonly untilMs: number;
}

const MOST_TOLERANCE_MS = 300_000;
const DAY_MS = 86_400_000;
/** gRPC takes 8 KiB of metadata by default; a longer token would not arrive. */
const LONGEST_TOKEN = 8192;

/** Checks JSON Web Tokens signed with EdDSA by configured keys. No other algorithm is taken. */
export class TokenVerifier {
  readonly #options: TokenVerifierOptions;
  readonly #clock: Clock;
  readonly #toleranceMs: number;
  readonly #maxLifetimeMs: number;
  /** By digest: a cache must not keep secrets. */
  readonly #verified: BoundedMap<string, Verified>;

  constructor(options: TokenVerifierOptions) {
    const toleranceMs = options.clockToleranceMs ?? 30_000;
    if (!(toleranceMs >= 0 && toleranceMs <= MOST_TOLERANCE_MS))
      throw invalid('INVALID_ARGUMENT', 'clockToleranceMs', toleranceMs, '0 to 300000');
    const maxLifetimeMs = options.maxLifetimeMs ?? DAY_MS;
    if (!(maxLifetimeMs >= 1000))
      throw invalid('INVALID_ARGUMENT', 'maxLifetimeMs', maxLifetimeMs, 'at least 1000');
    this.#options = options;
    this.#maxLifetimeMs = maxLifetimeMs;
    this.#clock = options.clock ?? systemClock;
    this.#toleranceMs = toleranceMs;
    this.#verified = new BoundedMap(options.cachedTokens ?? 1000);
  }

  /** Who the token speaks for; throws a CabstandError of class `auth` or PERMISSION_DENIED. */
  async verify(token: string, onTrust?: IncomingRequest['onTrust']): Promise<Principal> {
    const { principal, key, untilMs } = await this.#verify(token);
    const { keys, onKey } = this.#options;
    onKey?.(key);
    onTrust?.(recheckKey({ keys, key, untilMs, onKey, clock: this.#clock }));
    return principal;
  }

  async #verify(token: string): Promise<Verified> {
    if (token.length > LONGEST_TOKEN) throw malformed(`the token is longer than ${LONGEST_TOKEN}`);
    const nowMs = this.#clock.now();
    const digest = createHash('sha256').update(token).digest('base64');
    const known = this.#verified.get(digest);
    if (known !== undefined && this.#stillGood(known, nowMs)) {
      this.#checkAudience(known.audience);
      return known;
    }
    try {
      const verified = await this.#check(token, nowMs);
      this.#verified.set(digest, verified);
      return verified;
    } catch (error) {
      this.#verified.delete(digest);
      throw this.#explain(error, nowMs);
    }
  }

  /** A key set that was read again has other entries: then the signature is checked again, too. */
  #stillGood({ key, fromMs, untilMs }: Verified, nowMs: number): boolean {
    return (
      nowMs >= fromMs &&
      nowMs < untilMs &&
      nowMs >= key.notBeforeMs &&
      nowMs <= key.notAfterMs &&
      this.#options.keys.find(key.id) === key
    );
  }

  async #check(token: string, nowMs: number): Promise<Verified> {
    let keyId = '';
    let key: PublicKey | undefined;
    const checked = jwtVerify(
      token,
      (header) => {
        if (typeof header.kid !== 'string') throw malformed('the token names no key (kid)');
        keyId = header.kid;
        key = findKey(this.#options.keys, keyId);
        return key?.key ?? NOBODYS_KEY;
      },
      {
        algorithms: ['EdDSA', 'Ed25519'],
        ...(this.#options.issuer === undefined ? {} : { issuer: this.#options.issuer }),
        requiredClaims: ['exp', 'sub', 'aud'],
        clockTolerance: this.#toleranceMs / 1000,
        currentDate: new Date(nowMs),
      },
    );
    const { payload } = await checked.catch((error: unknown) => {
      if (error instanceof errors.JWSSignatureVerificationFailed)
        throw unproven(keyId, key === undefined ? 'key_unknown' : 'bad_signature');
      throw error;
    });
    if (key === undefined) throw unproven(keyId, 'key_unknown');
    checkPeriod(key, nowMs);
    const audience = readAudience(payload.aud);
    this.#checkAudience(audience);
    const principal = toPrincipal(payload, key);
    const expMs = this.#checkTimes(payload, audience, nowMs);
    return {
      principal,
      key,
      audience,
      fromMs: (payload.nbf ?? 0) * 1000 - this.#toleranceMs,
      untilMs: expMs + this.#toleranceMs,
    };
  }

  /** A token is good at the servers that it names, and nowhere else: whoever is sent one could use it there. */
  #checkAudience(audience: readonly string[]): void {
    const { subnet } = this.#options;
    if (subnet !== undefined && audience.includes(subnet)) return;
    const own = listAudiences(this.#options.audiences);
    if (!audience.some((one) => acceptsAudience(own, one)))
      throw wrongAudience(audience.join(', '), own);
  }

  /** When it ends, milliseconds since the epoch. */
  #checkTimes(payload: JWTPayload, audience: readonly string[], nowMs: number): number {
    const { exp, iat } = payload;
    // Seconds, for a JavaScript number to hold them as milliseconds too.
    if (exp === undefined || !Number.isSafeInteger(exp * 1000))
      throw malformed('exp: expected seconds since 1970');
    if (iat !== undefined && !(typeof iat === 'number' && Number.isFinite(iat)))
      throw malformed('iat: expected seconds since 1970');
    if (iat !== undefined && iat * 1000 > nowMs + this.#toleranceMs)
      throw this.#early(audience, nowMs);
    if (exp * 1000 > nowMs + this.#maxLifetimeMs + this.#toleranceMs)
      throw new CabstandError(
        'UNAUTHENTICATED',
        `the token is good for longer than this server takes, ${this.#maxLifetimeMs / 1000} s from now ` +
          '(auth.max_token_lifetime_seconds): make one that ends sooner',
        { metadata: { max_token_lifetime_seconds: String(this.#maxLifetimeMs / 1000) } },
      );
    return exp * 1000;
  }

  #early(audience: readonly string[], nowMs: number): CabstandError {
    return clockSkew(
      'the token is not valid yet: its issuer’s clock is ahead of this server’s',
      nowMs,
      audience[0] ?? '',
    );
  }

  #explain(error: unknown, nowMs: number): CabstandError {
    if (CabstandError.is(error)) return error;
    if (error instanceof errors.JWTExpired)
      return new CabstandError('CREDENTIALS_EXPIRED', 'the token has expired', {
        metadata: {
          server_time_ms: String(nowMs),
          ...expiry(error.payload),
          ...audienceOf(error.payload),
        },
      });
    if (error instanceof errors.JWTClaimValidationFailed) return this.#claim(error, nowMs);
    if (error instanceof errors.JOSEAlgNotAllowed)
      return malformed('the token is not signed with EdDSA (Ed25519), the only algorithm taken');
    if (error instanceof errors.JOSEError)
      return malformed(`the token is not a JSON Web Token signed with EdDSA (${error.code})`);
    return CabstandError.from(error, 'UNAUTHENTICATED');
  }

  #claim(error: errors.JWTClaimValidationFailed, nowMs: number): CabstandError {
    if (error.reason === 'missing') return malformed(`the token has no ${error.claim}`);
    if (error.claim === 'nbf' && error.reason === 'check_failed')
      return this.#early(readAudience(error.payload.aud), nowMs);
    if (error.claim === 'iss')
      return new CabstandError(
        'UNAUTHENTICATED',
        `the token is not from issuer ${show(this.#options.issuer)}`,
      );
    return malformed(`the token's ${error.claim} is invalid`);
  }
}

function toPrincipal(payload: JWTPayload, key: PublicKey): Principal {
  // jose looks whether it is there, not what it is: a list would pass as its text.
  const { sub } = payload;
  if (typeof sub !== 'string' || !NAME.test(sub))
    throw malformed('sub: expected 1 to 128 of A-Z a-z 0-9 . _ @ : -');
  const roles = readRoles(payload['roles']);
  if (payload['act'] !== undefined) return actedFor(sub, roles, payload['act'], key);
  if (!key.uses.has('issue') && !(key.uses.has('request') && key.principal === sub))
    throw new CabstandError(
      'UNAUTHENTICATED',
      `key ${key.id} may not issue tokens for other principals than its own`,
      { metadata: { key_id: key.id } },
    );
  for (const role of roles)
    if (!key.roles.has(role))
      throw new CabstandError('UNAUTHENTICATED', `key ${key.id} may not grant the role ${role}`, {
        metadata: { key_id: key.id },
      });
  return { id: sub, roles, ...ceilingOf(key) };
}

/** A gateway's token about somebody else (RFC 8693, `act`): its subject is whom it speaks for. */
function actedFor(sub: string, roles: ReadonlySet<Role>, act: unknown, key: PublicKey): Principal {
  const actor = typeof act === 'object' && act !== null && 'sub' in act ? act.sub : undefined;
  if (actor !== key.principal || !key.uses.has('request'))
    throw new CabstandError(
      'UNAUTHENTICATED',
      `act.sub: got ${show(actor)}, expected ${key.principal}: a key speaks for others in its own name only`,
      { metadata: { key_id: key.id } },
    );
  if (roles.size !== 1 || !roles.has('client'))
    throw malformed('roles: expected ["client"], as of everybody whom a gateway speaks for');
  return principalOf(key, sub);
}

function readRoles(value: unknown): ReadonlySet<Role> {
  if (!Array.isArray(value)) throw malformed('roles: expected a list of roles');
  const roles = new Set<Role>();
  for (const item of value as readonly unknown[]) {
    const role = ROLES.find((known) => known === item);
    if (role === undefined) throw malformed(`roles: expected some of ${ROLES.join(', ')}`);
    roles.add(role);
  }
  return roles;
}

const MAX_AUDIENCES = 100;

function readAudience(value: unknown): readonly string[] {
  const list: readonly unknown[] = Array.isArray(value) ? value : [value];
  const texts = list.filter((one): one is string => typeof one === 'string' && one !== '');
  if (texts.length !== list.length || list.length === 0 || list.length > MAX_AUDIENCES)
    throw malformed(`aud: expected host:port, or a list of at most ${MAX_AUDIENCES}`);
  return texts;
}

/** By which the client knows which of its tokens is meant. */
function audienceOf({ aud }: JWTPayload): Record<string, string> {
  const only: unknown = Array.isArray(aud) ? aud[0] : aud;
  return typeof only === 'string' ? { audience: only } : {};
}

function expiry(payload: JWTPayload): Record<string, string> {
  return typeof payload.exp === 'number' ? { expired_at_ms: String(payload.exp * 1000) } : {};
}
