import { createHash } from 'node:crypto';
import { BoundedMap, CabstandError, ROLES, invalid, show, systemClock } from '@cabstand/core';
import type { Clock, Principal, Role } from '@cabstand/core';
import { errors, jwtVerify } from 'jose';
import type { JWTPayload } from 'jose';
import type { IncomingRequest } from '@cabstand/rpc';
import { clockSkew, malformed, wrongAudience } from './failures';
import { NAME, currentKey } from './keys';
import type { KeySource, PublicKey } from './keys';
import { recheckKey } from './trust';

export interface TokenVerifierOptions {
  readonly keys: KeySource;
  /** The subnet's name, which tokens must be for. */
  readonly audience: string;
  /** If given, tokens must come from this issuer. */
  readonly issuer?: string;
  /** How far an issuer's clock may be off, milliseconds, at most 300,000. Default 30,000. */
  readonly clockToleranceMs?: number;
  /** Tokens whose signature need not be checked again, at least 1. Default 1,000. */
  readonly cachedTokens?: number;
  readonly clock?: Clock;
}

/** A token whose signature was good. */
interface Verified {
  readonly principal: Principal;
  readonly key: PublicKey;
  readonly fromMs: number;
  readonly untilMs: number;
}

const MOST_TOLERANCE_MS = 300_000;
/** gRPC takes 8 KiB of metadata by default; a longer token would not arrive. */
const LONGEST_TOKEN = 8192;

/** Checks JSON Web Tokens signed with EdDSA by configured keys. No other algorithm is taken. */
export class TokenVerifier {
  readonly #options: TokenVerifierOptions;
  readonly #clock: Clock;
  readonly #toleranceMs: number;
  /** By digest: a cache must not keep secrets. */
  readonly #verified: BoundedMap<string, Verified>;

  constructor(options: TokenVerifierOptions) {
    const toleranceMs = options.clockToleranceMs ?? 30_000;
    if (!(toleranceMs >= 0 && toleranceMs <= MOST_TOLERANCE_MS))
      throw invalid('INVALID_ARGUMENT', 'clockToleranceMs', toleranceMs, '0 to 300000');
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#toleranceMs = toleranceMs;
    this.#verified = new BoundedMap(options.cachedTokens ?? 1000);
  }

  /** Who the token speaks for; throws a CabstandError of class `auth` or PERMISSION_DENIED. */
  async verify(token: string, onTrust?: IncomingRequest['onTrust']): Promise<Principal> {
    const { principal, key, untilMs } = await this.#verify(token);
    onTrust?.(recheckKey({ keys: this.#options.keys, key, untilMs, clock: this.#clock }));
    return principal;
  }

  async #verify(token: string): Promise<Verified> {
    if (token.length > LONGEST_TOKEN) throw malformed(`the token is longer than ${LONGEST_TOKEN}`);
    const nowMs = this.#clock.now();
    const digest = createHash('sha256').update(token).digest('base64');
    const known = this.#verified.get(digest);
    if (known !== undefined && this.#stillGood(known, nowMs)) return known;
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
    let key: PublicKey | undefined;
    const { payload } = await jwtVerify(
      token,
      (header) => {
        if (typeof header.kid !== 'string') throw malformed('the token names no key (kid)');
        key = currentKey(this.#options.keys, header.kid, nowMs);
        return key.key;
      },
      {
        algorithms: ['EdDSA', 'Ed25519'],
        audience: this.#options.audience,
        ...(this.#options.issuer === undefined ? {} : { issuer: this.#options.issuer }),
        requiredClaims: ['exp', 'sub', 'aud'],
        clockTolerance: this.#toleranceMs / 1000,
        currentDate: new Date(nowMs),
      },
    );
    if (key === undefined) throw malformed('the token names no key');
    return {
      principal: toPrincipal(payload, key),
      key,
      fromMs: (payload.nbf ?? 0) * 1000 - this.#toleranceMs,
      untilMs: (payload.exp ?? 0) * 1000 + this.#toleranceMs,
    };
  }

  #explain(error: unknown, nowMs: number): CabstandError {
    if (CabstandError.is(error)) return error;
    if (error instanceof errors.JWTExpired)
      return new CabstandError('CREDENTIALS_EXPIRED', 'the token has expired', {
        metadata: { server_time_ms: String(nowMs), ...expiry(error.payload) },
      });
    if (error instanceof errors.JWTClaimValidationFailed) return this.#claim(error, nowMs);
    if (error instanceof errors.JWSSignatureVerificationFailed)
      return new CabstandError('UNAUTHENTICATED', 'the signature of the token is wrong');
    if (error instanceof errors.JOSEAlgNotAllowed)
      return malformed('the token is not signed with EdDSA (Ed25519), the only algorithm taken');
    if (error instanceof errors.JOSEError)
      return malformed(`the token is not a JSON Web Token signed with EdDSA (${error.code})`);
    return CabstandError.from(error, 'UNAUTHENTICATED');
  }

  #claim(error: errors.JWTClaimValidationFailed, nowMs: number): CabstandError {
    if (error.reason === 'missing') return malformed(`the token has no ${error.claim}`);
    if (error.claim === 'aud')
      return wrongAudience(show(error.payload.aud), [this.#options.audience]);
    if (error.claim === 'nbf' && error.reason === 'check_failed')
      return clockSkew(
        'the token is not valid yet: its issuer’s clock is ahead of this server’s',
        nowMs,
        this.#options.audience,
      );
    if (error.claim === 'iss')
      return new CabstandError(
        'UNAUTHENTICATED',
        `the token is not from issuer ${show(this.#options.issuer)}`,
      );
    return malformed(`the token's ${error.claim} is invalid`);
  }
}

function toPrincipal(payload: JWTPayload, key: PublicKey): Principal {
  const sub = payload.sub ?? '';
  if (!NAME.test(sub)) throw malformed('sub: expected 1 to 128 of A-Z a-z 0-9 . _ @ : -');
  const roles = readRoles(payload['roles']);
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
  return { id: sub, roles };
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

function expiry(payload: JWTPayload): Record<string, string> {
  return typeof payload.exp === 'number' ? { expired_at_ms: String(payload.exp * 1000) } : {};
}
