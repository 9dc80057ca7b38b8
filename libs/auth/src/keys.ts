import { createPrivateKey, createPublicKey, generateKeyPairSync, sign, verify } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { CabstandError, invalid } from '@cabstand/core';
import type { Role } from '@cabstand/core';
import { NAME, checkKeySet, checkPrivateKey } from './key-format';
import type { KeyUse, PublicKeyEntry } from './key-format';

/** A public key that servers and clients know from their configuration. */
export interface PublicKey {
  readonly id: string;
  readonly principal: string;
  readonly roles: ReadonlySet<Role>;
  /** Highest priority of its principal's sessions, 0 to 9; undefined: what the server says. */
  readonly maxPriority?: number;
  readonly uses: ReadonlySet<KeyUse>;
  /** Milliseconds since the epoch. */
  readonly notBeforeMs: number;
  /** Milliseconds since the epoch; Infinity for a key that does not end. */
  readonly notAfterMs: number;
  readonly key: KeyObject;
}

/** One's own key. */
export interface PrivateKey {
  readonly id: string;
  readonly principal: string;
  readonly roles: ReadonlySet<Role>;
  readonly key: KeyObject;
}

/** Where public keys come from: configuration, never the wire. */
export interface KeySource {
  find(id: string): PublicKey | undefined;
}

/** A fixed set of keys. Several ids may belong to one principal: that is how keys are rotated. */
export class StaticKeySet implements KeySource {
  readonly #keys = new Map<string, PublicKey>();

  constructor(keys: readonly PublicKey[]) {
    for (const key of keys) {
      if (this.#keys.has(key.id))
        throw invalid('INVALID_ARGUMENT', 'keys[].kid', key.id, 'an id that occurs once');
      this.#keys.set(key.id, key);
    }
  }

  get size(): number {
    return this.#keys.size;
  }

  find(id: string): PublicKey | undefined {
    return this.#keys.get(id);
  }

  all(): IterableIterator<PublicKey> {
    return this.#keys.values();
  }
}

/** Reads a key set; throws INVALID_ARGUMENT that names `where` and the member. */
export function parseKeySet(value: unknown, where: string): StaticKeySet {
  return new StaticKeySet(checkKeySet(value, where).keys.map(toPublicKey));
}

/** Reads a private key; throws INVALID_ARGUMENT that names `where` and the member, never its value. */
export function parsePrivateKey(value: unknown, where: string): PrivateKey {
  const file = checkPrivateKey(value, where);
  let key: KeyObject;
  try {
    const { kty, crv, x, d } = file;
    key = createPrivateKey({ key: { kty, crv, x, d }, format: 'jwk' });
  } catch {
    throw new CabstandError('INVALID_ARGUMENT', `${where}: not a usable Ed25519 key`);
  }
  if (createPublicKey(key).export({ format: 'jwk' }).x !== file.x)
    throw new CabstandError('INVALID_ARGUMENT', `${where}: x does not belong to d`);
  return { id: file.kid, principal: file.principal, roles: new Set(file.roles), key };
}

export function toPublicKey(entry: PublicKeyEntry): PublicKey {
  const { kty, crv, x } = entry;
  return {
    id: entry.kid,
    principal: entry.principal,
    roles: new Set(entry.roles),
    uses: new Set(entry.uses),
    ...(entry.max_priority === undefined ? {} : { maxPriority: entry.max_priority }),
    ...validityOf(entry),
    key: createPublicKey({ key: { kty, crv, x }, format: 'jwk' }),
  };
}

/** What a key says of its principal beyond name and roles. */
export function ceilingOf({ maxPriority }: PublicKey): { readonly maxPriority?: number } {
  return maxPriority === undefined ? {} : { maxPriority };
}

/** From when until when a key may be used; for ever where it does not say. */
export function validityOf(entry: {
  readonly not_before?: string | undefined;
  readonly not_after?: string | undefined;
}): { readonly notBeforeMs: number; readonly notAfterMs: number } {
  return {
    notBeforeMs: entry.not_before === undefined ? 0 : Date.parse(entry.not_before),
    notAfterMs: entry.not_after === undefined ? Infinity : Date.parse(entry.not_after),
  };
}

/** The key of this id, if it may be used now; throws KEY_UNKNOWN or CREDENTIALS_EXPIRED. */
export function currentKey(source: KeySource, id: string, nowMs: number): PublicKey {
  const key = findKey(source, id);
  if (key === undefined)
    throw new CabstandError(
      'KEY_UNKNOWN',
      `${NAME.test(id) ? `the key ${id}` : 'the key'} is not in the keys.json of this server: ` +
        'it was made after that file (copy the newest keys.json to the server), or was removed, or is of another subnet',
      { metadata: named(id) },
    );
  checkPeriod(key, nowMs);
  return key;
}

/** The key of this id, good or not. */
export function findKey(source: KeySource, id: string): PublicKey | undefined {
  return NAME.test(id) ? source.find(id) : undefined;
}

/** Throws CREDENTIALS_EXPIRED for a key that may not be used yet, or no more. */
export function checkPeriod(key: PublicKey, nowMs: number): void {
  const { id, notBeforeMs, notAfterMs } = key;
  if (nowMs >= notBeforeMs && nowMs <= notAfterMs) return;
  throw new CabstandError(
    'CREDENTIALS_EXPIRED',
    nowMs > notAfterMs
      ? `key ${id} was retired at ${new Date(notAfterMs).toISOString()}`
      : `key ${id} is not valid before ${new Date(notBeforeMs).toISOString()}`,
    { metadata: named(id) },
  );
}

/**
 * Stands in for a key that is not known, so that a signature of one is checked too: how long a refusal
 * takes must not tell which key ids there are. Nobody has its private half.
 */
export const NOBODYS_KEY: KeyObject = generateKeyPairSync('ed25519').publicKey;

/**
 * KEY_UNKNOWN, in the same words whether the key or its signature is wrong: whoever proves nothing is not
 * told which key ids there are. The cause says which it was, for the log.
 */
export function unproven(keyId: string, problem: 'key_unknown' | 'bad_signature'): CabstandError {
  const key = NAME.test(keyId) ? `the key ${keyId}` : 'the key';
  return new CabstandError(
    'KEY_UNKNOWN',
    `${key}: the key id is not known here, or the signature is not that key\u2019s (this server\u2019s log says which); ` +
      'if the key is new, copy the newest keys.json to the server',
    {
      metadata: named(keyId),
      cause: new Error(
        problem === 'key_unknown'
          ? `${key} is not in the keys.json of this server: it was made after that file, was removed, or is of another subnet`
          : `the signature was not made with ${key}, or something was changed on the way`,
      ),
    },
  );
}

const named = (id: string): Record<string, string> => (NAME.test(id) ? { key_id: id } : {});

/** Ed25519 signature, base64url. */
export function signBytes(bytes: Uint8Array, key: KeyObject): string {
  return sign(null, bytes, key).toString('base64url');
}

/** 64 bytes in the one spelling of them: the last character has four bits that count for nothing. */
const SIGNATURE = /^[A-Za-z0-9_-]{85}[AQgw]$/;

export function isSignature(text: string): boolean {
  return SIGNATURE.test(text);
}

export function verifyBytes(bytes: Uint8Array, key: KeyObject, signature: string): boolean {
  return isSignature(signature) && verify(null, bytes, key, Buffer.from(signature, 'base64url'));
}

/** Whether two lists or sets have the same items, whatever their order. */
export function sameSet<T>(a: Iterable<T>, b: Iterable<T>): boolean {
  const [one, other] = [new Set(a), new Set(b)];
  return one.size === other.size && [...one].every((item) => other.has(item));
}
