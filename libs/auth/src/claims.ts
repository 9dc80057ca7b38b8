/** What the headers of a signed request say, before any of it is believed. */
import type { Metadata } from '@grpc/grpc-js';
import { ON_BEHALF_OF, REQUEST_HEADERS } from './canonical';
import { credentialsMissing, malformed } from './failures';
import { NAME } from './key-format';
import { isSignature } from './keys';
import { isHalf } from './mac-agreement';
import { hasHeader, header } from './scheme';

export interface Claims {
  /** How the rest is proved: with a key in `keys.json`, or with one for MACs. */
  readonly by: 'signature' | 'mac';
  readonly keyId: string;
  readonly audience: string;
  readonly timestampMs: number;
  readonly nonce: string;
  /** The signature, or the MAC. */
  readonly proof: string;
  readonly onBehalfOf: string | undefined;
  /** The caller's half of a key for MACs. */
  readonly offer: string | undefined;
}

const NONCE = /^[A-Za-z0-9_-]{16,64}$/;
/** One spelling of each time: the text that is signed has the number. */
const TIMESTAMP = /^(0|[1-9][0-9]{0,14})$/;
const MAC = /^[A-Za-z0-9_-]{43}$/;
const MAC_KEY_ID = /^[A-Za-z0-9_-]{16,64}$/;
const LONGEST_AUDIENCE = 300;

/** Throws CREDENTIALS_MISSING or CREDENTIALS_MALFORMED. */
export function readClaims(metadata: Metadata): Claims {
  const by = provedBy(metadata);
  const keyId = required(metadata, by === 'mac' ? REQUEST_HEADERS.macKeyId : REQUEST_HEADERS.keyId);
  const audience = required(metadata, REQUEST_HEADERS.audience);
  const timestamp = required(metadata, REQUEST_HEADERS.timestamp);
  const nonce = required(metadata, REQUEST_HEADERS.nonce);
  const proof = required(metadata, by === 'mac' ? REQUEST_HEADERS.mac : REQUEST_HEADERS.signature);
  if (audience.length > LONGEST_AUDIENCE)
    throw malformed(`${REQUEST_HEADERS.audience}: expected host:port`);
  if (!TIMESTAMP.test(timestamp))
    throw malformed(`${REQUEST_HEADERS.timestamp}: expected milliseconds since 1970 in digits`);
  if (!NONCE.test(nonce))
    throw malformed(`${REQUEST_HEADERS.nonce}: expected 16 to 64 of A-Z a-z 0-9 _ -`);
  if (by === 'mac') checkMac(keyId, proof);
  else if (!isSignature(proof))
    throw malformed(`${REQUEST_HEADERS.signature}: expected 64 bytes in base64url without padding`);
  const offer = offered(metadata, by);
  const onBehalfOf = named(metadata);
  const timestampMs = Number(timestamp);
  return { by, keyId, audience, timestampMs, nonce, proof, onBehalfOf, offer };
}

/** Whether a request has a MAC instead of a signature. One with both is neither. */
function provedBy(metadata: Metadata): 'signature' | 'mac' {
  if (!hasHeader(metadata, REQUEST_HEADERS.mac)) return 'signature';
  if (!hasHeader(metadata, REQUEST_HEADERS.signature)) return 'mac';
  throw malformed(`expected ${REQUEST_HEADERS.signature} or ${REQUEST_HEADERS.mac}, not both`);
}

function checkMac(keyId: string, mac: string): void {
  if (!MAC_KEY_ID.test(keyId))
    throw malformed(`${REQUEST_HEADERS.macKeyId}: expected 16 to 64 of A-Z a-z 0-9 _ -`);
  if (!MAC.test(mac))
    throw malformed(`${REQUEST_HEADERS.mac}: expected 32 bytes in base64url without padding`);
}

function offered(metadata: Metadata, by: Claims['by']): string | undefined {
  if (!hasHeader(metadata, REQUEST_HEADERS.macOffer)) return undefined;
  const half = header(metadata, REQUEST_HEADERS.macOffer);
  if (half !== undefined && isHalf(half) && by === 'signature') return half;
  throw malformed(
    `${REQUEST_HEADERS.macOffer}: expected 32 bytes in base64url without padding, beside a signature`,
  );
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
