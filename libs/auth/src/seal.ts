import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import type { CipherGCM, DecipherGCM, KeyObject } from 'node:crypto';
import { BoundedMap, CabstandError, invalid, systemClock } from '@cabstand/core';
import type { Clock } from '@cabstand/core';

/** A secret that all hosters of a subnet share: what one sealed, another opens. */
export interface SealKey {
  readonly id: string;
  /** 32 bytes. */
  readonly secret: KeyObject;
  /** Milliseconds since the epoch: it opens at once, and seals from then on. */
  readonly notBeforeMs: number;
  /** Milliseconds since the epoch; Infinity for a key that does not end. */
  readonly notAfterMs: number;
}

/** What sealed bytes belong to. They open for nothing else. */
export interface SealBinding {
  readonly session: string;
  readonly principal: string;
  readonly model: string;
  /** Of manifest and weights. */
  readonly digest: string;
  readonly position: number;
}

/** What can be wrong with sealed bytes; `problem` in the error's metadata. */
export type SealProblem =
  /** Not what a sealer makes. */
  | 'malformed'
  /** Sealed under a key that this hoster does not have. */
  | 'unknown_key'
  /** Sealed under a key that has been retired since. */
  | 'expired_key'
  /** Changed since it was sealed, or never sealed with this key. */
  | 'forged'
  | 'other_session'
  | 'other_principal'
  | 'other_model'
  | 'other_weights'
  | 'other_position';

/** Encrypts and authenticates what callers keep for the subnet. */
export interface Sealer {
  /** @param body in pieces, which are sealed as one */
  seal(binding: SealBinding, ...body: readonly Uint8Array[]): Buffer;
  /** Throws CHECKPOINT_INVALID whose metadata names the `problem`. */
  open(sealed: Uint8Array, binding: SealBinding): Buffer;
}

const MAGIC = Buffer.from('CSC1');
const SALT_BYTES = 16;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const KEY_BYTES = 32;
const DERIVED_KEYS = 1024;
const CIPHER = 'aes-256-gcm';

/**
 * AES-256-GCM. Each sealer derives a key of its own from the subnet's (HKDF-SHA256 with a random salt)
 * and counts its nonces, so that none is ever used twice however many hosters seal.
 *
 * `CSC1 | u8 length | key id | salt | nonce | ciphertext | tag`; everything before the ciphertext is
 * authenticated with it. What the bytes belong to is inside, so that opening can say what is wrong.
 *
 * @param keys the last one whose time has come seals, all of them open
 */
export function createSealerOf(keys: readonly SealKey[], clock: Clock = systemClock): Sealer {
  return createSealerFrom({ current: keys, newest: keys }, clock);
}

/** Keys that may change. `newest` is asked for a key that `current` lacks. */
export interface SealKeySource {
  readonly current: readonly SealKey[];
  readonly newest: readonly SealKey[];
}

/** The same for keys that may change while it is used. */
export function createSealerFrom(source: SealKeySource, clock: Clock = systemClock): Sealer {
  const [first] = source.current;
  if (first === undefined)
    throw invalid('INVALID_ARGUMENT', 'keys', 'none', 'at least one seal key');
  const find = (id: string): SealKey | undefined =>
    byId(source.current, id) ?? byId(source.newest, id);
  let own = sealingWith(first);
  const derived = new BoundedMap<string, Buffer>(DERIVED_KEYS);
  let count = 0;
  return {
    seal(binding, ...body) {
      const nowMs = clock.now();
      const current = source.current.findLast(({ notBeforeMs }) => notBeforeMs <= nowMs) ?? own.key;
      if (current.id !== own.key.id) own = sealingWith(current);
      const nonce = Buffer.alloc(NONCE_BYTES);
      nonce.writeUIntBE(count++, NONCE_BYTES - 6, 6);
      const head = Buffer.concat([own.prefix, nonce]);
      const cipher = createCipheriv(CIPHER, own.secret, nonce).setAAD(head);
      const bound = Buffer.from(JSON.stringify(listOf(binding)), 'utf8');
      const size = Buffer.alloc(4);
      size.writeUInt32LE(bound.byteLength);
      const pieces = [size, bound, ...body];
      const length = pieces.reduce((sum, piece) => sum + piece.byteLength, 0);
      const sealed = Buffer.allocUnsafe(head.byteLength + length + TAG_BYTES);
      head.copy(sealed);
      const end = through(cipher, pieces, sealed, head.byteLength);
      cipher.final();
      cipher.getAuthTag().copy(sealed, end);
      return sealed;
    },
    open(sealed, binding) {
      const bytes = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength);
      const parts = split(bytes);
      const key = find(parts.keyId);
      if (key === undefined)
        throw wrong(
          'unknown_key',
          'this hoster does not have its key (copy the newest seal.key.json to it)',
        );
      if (clock.now() > key.notAfterMs) throw wrong('expired_key', 'its key was retired');
      const cacheId = `${parts.keyId} ${parts.salt.toString('hex')}`;
      const secret = derived.get(cacheId) ?? derive(key, parts.salt);
      const plain = decrypt(parts, secret);
      // Only now: strangers' salts must not push known ones out.
      derived.set(cacheId, secret);
      const size = plain.readUInt32LE(0);
      check(JSON.parse(plain.toString('utf8', 4, 4 + size)) as unknown[], binding);
      return plain.subarray(4 + size);
    },
  };
}

const byId = (keys: readonly SealKey[], wanted: string): SealKey | undefined =>
  keys.find(({ id }) => id === wanted);

/** A key with this process's own salt. */
function sealingWith(key: SealKey): {
  readonly key: SealKey;
  readonly secret: Buffer;
  readonly prefix: Buffer;
} {
  const salt = randomBytes(SALT_BYTES);
  const id = Buffer.from(key.id, 'utf8');
  const prefix = Buffer.concat([MAGIC, Buffer.from([id.byteLength]), id, salt]);
  return { key, secret: derive(key, salt), prefix };
}

interface Parts {
  readonly keyId: string;
  readonly salt: Buffer;
  readonly head: Buffer;
  readonly nonce: Buffer;
  readonly text: Buffer;
  readonly tag: Buffer;
}

function split(bytes: Buffer): Parts {
  const idBytes = bytes[MAGIC.byteLength] ?? 0;
  const saltAt = MAGIC.byteLength + 1 + idBytes;
  const textAt = saltAt + SALT_BYTES + NONCE_BYTES;
  if (
    !bytes.subarray(0, MAGIC.byteLength).equals(MAGIC) ||
    bytes.byteLength < textAt + TAG_BYTES + 4
  )
    throw wrong('malformed', 'it does not look like one');
  return {
    keyId: bytes.toString('utf8', MAGIC.byteLength + 1, saltAt),
    salt: bytes.subarray(saltAt, saltAt + SALT_BYTES),
    head: bytes.subarray(0, textAt),
    nonce: bytes.subarray(textAt - NONCE_BYTES, textAt),
    text: bytes.subarray(textAt, bytes.byteLength - TAG_BYTES),
    tag: bytes.subarray(bytes.byteLength - TAG_BYTES),
  };
}

function decrypt({ head, nonce, text, tag }: Parts, secret: Buffer): Buffer {
  try {
    const decipher = createDecipheriv(CIPHER, secret, nonce, { authTagLength: TAG_BYTES })
      .setAAD(head)
      .setAuthTag(tag);
    const plain = Buffer.allocUnsafe(text.byteLength);
    through(decipher, [text], plain, 0);
    decipher.final();
    return plain;
  } catch {
    throw wrong('forged', 'it was damaged, or not made by this subnet');
  }
}

/** Of what goes through a cipher at once: its output is copied while it is in the processor's cache. */
const SLICE_BYTES = 128 * 1024;

/** Puts what a cipher makes of all pieces into `out` from `at` on; answers where it ends. GCM adds nothing. */
function through(
  cipher: CipherGCM | DecipherGCM,
  pieces: readonly Uint8Array[],
  out: Buffer,
  at: number,
): number {
  let end = at;
  for (const piece of pieces)
    for (let from = 0; from < piece.byteLength; from += SLICE_BYTES)
      end += cipher.update(piece.subarray(from, from + SLICE_BYTES)).copy(out, end);
  return end;
}

function derive(key: SealKey, salt: Buffer): Buffer {
  return Buffer.from(hkdfSync('sha256', key.secret, salt, 'cabstand checkpoint', KEY_BYTES));
}

const listOf = ({ session, principal, model, digest, position }: SealBinding): unknown[] => [
  session,
  principal,
  model,
  digest,
  position,
];

const PROBLEMS: readonly (readonly [SealProblem, string])[] = [
  ['other_session', 'it is of another session'],
  ['other_principal', 'it is of somebody else'],
  ['other_model', 'it is of another model'],
  ['other_weights', 'it is of other weights of the model'],
  ['other_position', 'it is of another position'],
];

function check(found: readonly unknown[], binding: SealBinding): void {
  listOf(binding).forEach((expected, index) => {
    const problem = PROBLEMS[index];
    if (problem !== undefined && found[index] !== expected) throw wrong(...problem);
  });
}

function wrong(problem: SealProblem, why: string): CabstandError {
  return new CabstandError('CHECKPOINT_INVALID', `the checkpoint is not good here: ${why}`, {
    metadata: { problem },
  });
}
