/** The arithmetic of keys for MACs: X25519, HKDF and HMAC, all with SHA-256 where a hash is needed. */
import {
  createHmac,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  timingSafeEqual,
} from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { agreementBytes } from './canonical';

/** One side's half of a key. It is used once, so that whoever gets hold of a process later learns no earlier key. */
export interface Half {
  /** 32 bytes, base64url. */
  readonly publicKey: string;
  readonly privateKey: KeyObject;
}

export type KeyBinding = Parameters<typeof agreementBytes>[0];

const MAC_KEY_BYTES = 32;
const HALF = /^[A-Za-z0-9_-]{43}$/;

export function isHalf(text: string): boolean {
  return HALF.test(text);
}

export function newHalf(): Half {
  const { publicKey, privateKey } = generateKeyPairSync('x25519');
  const { x } = publicKey.export({ format: 'jwk' });
  if (x === undefined) throw new Error('an X25519 key without x');
  return { publicKey: x, privateKey };
}

/**
 * The key that both sides know. Throws where the other half is no point that makes a secret: there are a few
 * that make the same of everything.
 */
export function macKeyOf(mine: Half, theirs: string, binding: KeyBinding): Buffer {
  const publicKey = createPublicKey({
    key: { kty: 'OKP', crv: 'X25519', x: theirs },
    format: 'jwk',
  });
  const secret = diffieHellman({ privateKey: mine.privateKey, publicKey });
  return Buffer.from(hkdfSync('sha256', secret, '', agreementBytes(binding), MAC_KEY_BYTES));
}

/** HMAC-SHA-256, base64url. */
export function macOf(bytes: Uint8Array, key: Uint8Array): string {
  return createHmac('sha256', key).update(bytes).digest('base64url');
}

/** Compared as text, since base64url has several spellings of the same bytes. */
export function isMacOf(text: string, bytes: Uint8Array, key: Uint8Array): boolean {
  const expected = Buffer.from(macOf(bytes, key), 'latin1');
  const given = Buffer.from(text, 'latin1');
  return given.length === expected.length && timingSafeEqual(given, expected);
}
