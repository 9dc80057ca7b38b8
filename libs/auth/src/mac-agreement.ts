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
/** https://www.rfc-editor.org/rfc/rfc7748#section-6.1 */
const BASE_POINT = pointOf(Buffer.concat([Buffer.of(9), Buffer.alloc(31)]).toString('base64url'));
const HALF = /^[A-Za-z0-9_-]{43}$/;

export function isHalf(text: string): boolean {
  return HALF.test(text);
}

/**
 * The public half is computed from the private one, by definition the product with the base point. Exporting what was
 * just generated would stop the process for good, in Node 20 at least, where garbage happens to be collected meanwhile: the
 * export holds a lock on the key that the end of the job which made it waits for.
 */
export function newHalf(): Half {
  const { privateKey } = generateKeyPairSync('x25519');
  const product = diffieHellman({ privateKey, publicKey: BASE_POINT });
  return { publicKey: product.toString('base64url'), privateKey };
}

/**
 * The key that both sides know. Throws where the other half is no point that makes a secret: there are a few
 * that make the same of everything.
 */
export function macKeyOf(mine: Half, theirs: string, binding: KeyBinding): Buffer {
  const secret = diffieHellman({ privateKey: mine.privateKey, publicKey: pointOf(theirs) });
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

function pointOf(x: string): KeyObject {
  return createPublicKey({ key: { kty: 'OKP', crv: 'X25519', x }, format: 'jwk' });
}
