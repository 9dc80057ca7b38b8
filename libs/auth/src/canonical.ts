import { createHash } from 'node:crypto';
import { breathe } from '@cabstand/core';

/** Headers of a signed request; docs/authentication.md describes them for other languages. */
export const REQUEST_HEADERS = {
  keyId: 'cabstand-key-id',
  audience: 'cabstand-audience',
  timestamp: 'cabstand-timestamp',
  nonce: 'cabstand-nonce',
  signature: 'cabstand-signature',
} as const;

/** Header of a signed request that names whom a gateway speaks for. */
export const ON_BEHALF_OF = 'cabstand-on-behalf-of';

/** Headers (initial metadata) with which a server proves itself to a caller that signed. */
export const RESPONSE_HEADERS = {
  keyId: 'cabstand-response-key-id',
  timestamp: 'cabstand-response-timestamp',
  signature: 'cabstand-response-signature',
} as const;

/** Stands for the body of a call that streams its requests. */
const STREAM_BODY = 'STREAM';

export interface RequestToSign {
  readonly keyId: string;
  readonly method: string;
  readonly audience: string;
  readonly timestampMs: number;
  readonly nonce: string;
  /** See `bodyDigest`. */
  readonly body: string;
  /** The principal that a gateway speaks for. */
  readonly onBehalfOf?: string | undefined;
}

export interface ResponseToSign {
  readonly keyId: string;
  readonly method: string;
  /** Of the request that is answered. */
  readonly nonce: string;
  readonly timestampMs: number;
}

/**
 * What is signed for a request. The first line separates the domains: a key's signature over a
 * request can never pass for one over a response, a ticket or a token, nor one for somebody else for its own.
 */
export function requestBytes(request: RequestToSign): Buffer {
  const { onBehalfOf } = request;
  return lines(
    onBehalfOf === undefined ? 'cabstand-request-v1' : 'cabstand-request-on-behalf-v1',
    ...(onBehalfOf === undefined ? [] : [onBehalfOf]),
    request.keyId,
    request.method,
    request.audience,
    String(request.timestampMs),
    request.nonce,
    request.body,
  );
}

export function responseBytes(response: ResponseToSign): Buffer {
  return lines(
    'cabstand-response-v1',
    response.keyId,
    response.method,
    response.nonce,
    String(response.timestampMs),
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
