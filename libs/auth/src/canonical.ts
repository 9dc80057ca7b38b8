import { createHash } from 'node:crypto';
import { breathe } from '@cabstand/core';

/** Headers of a signed request; docs/authentication.md describes them for other languages. */
export const REQUEST_HEADERS = {
  keyId: 'cabstand-key-id',
  audience: 'cabstand-audience',
  timestamp: 'cabstand-timestamp',
  nonce: 'cabstand-nonce',
  signature: 'cabstand-signature',
  /** Instead of key id and signature: a key for MACs that was agreed before, and the MAC. */
  macKeyId: 'cabstand-mac-key-id',
  mac: 'cabstand-mac',
  /** Beside a signature: the caller's half of a key for MACs. */
  macOffer: 'cabstand-mac-offer',
} as const;

/** Header of a signed request that names whom a gateway speaks for. */
export const ON_BEHALF_OF = 'cabstand-on-behalf-of';

/** Headers (initial metadata) with which a server proves itself to a caller that signed. */
export const RESPONSE_HEADERS = {
  keyId: 'cabstand-response-key-id',
  timestamp: 'cabstand-response-timestamp',
  signature: 'cabstand-response-signature',
  /** The server takes offers of keys for MACs of this kind. */
  macs: 'cabstand-response-macs',
  /** The answer to an offer: the server's half, what the key is called, and its life in milliseconds. */
  macOffer: 'cabstand-response-mac-offer',
  macKeyId: 'cabstand-response-mac-key-id',
  macLifetime: 'cabstand-response-mac-lifetime',
  /** Instead of key id and signature, where the request had a MAC. */
  mac: 'cabstand-response-mac',
} as const;

/** The one kind of keys for MACs that there is. */
export const MAC_KIND = 'x25519-hmac-sha256';

/** Stands for the body of a call that streams its requests. */
const STREAM_BODY = 'STREAM';

export interface RequestToSign {
  /** Of the key that signs, or of the one for MACs. */
  readonly keyId: string;
  readonly method: string;
  readonly audience: string;
  readonly timestampMs: number;
  readonly nonce: string;
  /** See `bodyDigest`. */
  readonly body: string;
  /** The principal that a gateway speaks for. */
  readonly onBehalfOf?: string | undefined;
  /** The caller's half of a key for MACs. */
  readonly offer?: string | undefined;
}

/** What a server answers to an offer. */
export interface Agreement {
  /** The caller's half, as it was offered. */
  readonly offer: string;
  /** The server's half. */
  readonly answer: string;
  readonly macKeyId: string;
  readonly lifetimeMs: number;
}

export interface ResponseToSign {
  /** Of the key that signs, or of the one for MACs. */
  readonly keyId: string;
  readonly method: string;
  /** Of the request that is answered. */
  readonly nonce: string;
  readonly timestampMs: number;
  readonly agreement?: Agreement | undefined;
}

/**
 * What is signed for a request. The first line separates the domains: a key's signature over a
 * request can never pass for one over a response, a ticket or a token, nor one for somebody else for its own,
 * nor one without an offer for one with.
 */
export function requestBytes(request: RequestToSign): Buffer {
  return requestText(request.offer === undefined ? 'request' : 'request-offer', request);
}

/** What is under the MAC of a request. */
export function requestMacBytes(request: Omit<RequestToSign, 'offer'>): Buffer {
  return requestText('request-mac', request);
}

function requestText(domain: string, request: RequestToSign): Buffer {
  const { onBehalfOf, offer } = request;
  return lines(
    onBehalfOf === undefined ? `cabstand-${domain}-v1` : `cabstand-${domain}-on-behalf-v1`,
    ...(onBehalfOf === undefined ? [] : [onBehalfOf]),
    request.keyId,
    request.method,
    request.audience,
    String(request.timestampMs),
    request.nonce,
    request.body,
    ...(offer === undefined ? [] : [offer]),
  );
}

export function responseBytes(response: ResponseToSign): Buffer {
  const { agreement } = response;
  if (agreement === undefined) return responseText('response', response);
  const { offer, answer, macKeyId, lifetimeMs } = agreement;
  return responseText('response-offer', response, offer, answer, macKeyId, String(lifetimeMs));
}

/** What is under the MAC of a response. */
export function responseMacBytes(response: Omit<ResponseToSign, 'agreement'>): Buffer {
  return responseText('response-mac', response);
}

function responseText(domain: string, response: ResponseToSign, ...more: string[]): Buffer {
  return lines(
    `cabstand-${domain}-v1`,
    response.keyId,
    response.method,
    response.nonce,
    String(response.timestampMs),
    ...more,
  );
}

/** What a key for MACs is bound to when it is derived, beside the two halves themselves. */
export function agreementBytes(binding: {
  readonly callerKeyId: string;
  readonly serverKeyId: string;
  readonly audience: string;
  readonly agreement: Omit<Agreement, 'lifetimeMs'>;
}): Buffer {
  const { offer, answer, macKeyId } = binding.agreement;
  return lines(
    'cabstand-mac-key-v1',
    binding.callerKeyId,
    binding.serverKeyId,
    binding.audience,
    offer,
    answer,
    macKeyId,
  );
}

/** Bytes that are digested in one go: about two milliseconds where a processor has no help for it. */
const SLICE = 512 * 1024;

/**
 * Lower-case hex SHA-256 of the serialized request, or the marker of a stream. A large body is digested
 * in slices, between which the process does what else waits.
 */
export async function bodyDigest(body: Uint8Array | undefined): Promise<string> {
  if (body === undefined) return STREAM_BODY;
  const hash = createHash('sha256');
  for (let at = 0; at < body.length; at += SLICE) {
    if (at > 0) await breathe();
    hash.update(body.subarray(at, at + SLICE));
  }
  return hash.digest('hex');
}

function lines(...parts: readonly string[]): Buffer {
  return Buffer.from(parts.join('\n'), 'utf8');
}
