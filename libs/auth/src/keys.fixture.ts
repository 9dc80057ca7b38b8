import { generateKeyPairSync } from 'node:crypto';
import { Metadata } from '@grpc/grpc-js';
import type { CabstandError, Role } from '@cabstand/core';
import { CabstandError as Failure } from '@cabstand/core';
import type { IncomingRequest, OutgoingRequest } from '@cabstand/rpc';
import { parsePrivateKey, toPublicKey } from './keys';
import type { KeyUse } from './key-format';
import type { PrivateKey, PublicKey } from './keys';

export interface Member {
  readonly mine: PrivateKey;
  readonly known: PublicKey;
}

export interface MemberOptions {
  readonly principal?: string;
  readonly roles?: Role[];
  readonly uses?: KeyUse[];
  readonly maxPriority?: number;
  readonly notBefore?: number;
  readonly notAfter?: number;
}

/** A fresh key as its owner and as the others see it. */
export function member(kid: string, options: MemberOptions = {}): Member {
  // Encoded while it is made: exporting it afterwards may never return, in Node 20.
  const { publicKey, privateKey } = generateKeyPairSync('ed25519', {
    publicKeyEncoding: { type: 'spki', format: 'der' },
    privateKeyEncoding: { type: 'pkcs8', format: 'der' },
  });
  const tail = (der: Buffer): string => der.subarray(-32).toString('base64url');
  const [x, d] = [tail(publicKey), tail(privateKey)];
  const base = {
    kty: 'OKP' as const,
    crv: 'Ed25519' as const,
    x,
    kid,
    principal: options.principal ?? kid,
    roles: options.roles ?? ['client' as const],
  };
  return {
    mine: parsePrivateKey({ ...base, d }, 'test'),
    known: toPublicKey({
      ...base,
      uses: options.uses ?? ['request'],
      ...(options.maxPriority === undefined ? {} : { max_priority: options.maxPriority }),
      ...(options.notBefore === undefined
        ? {}
        : { not_before: new Date(options.notBefore).toISOString() }),
      ...(options.notAfter === undefined
        ? {}
        : { not_after: new Date(options.notAfter).toISOString() }),
    }),
  };
}

export const ACQUIRE = '/cabstand.v1.RouterService/rpc_acquire';

export function outgoing(changes: Partial<OutgoingRequest> = {}): OutgoingRequest {
  return {
    method: ACQUIRE,
    audience: '127.0.0.1:50050',
    body: Buffer.from('request'),
    ...changes,
  };
}

/** The request as the server sees it, after `changes` on the way. */
export function incoming(
  request: OutgoingRequest,
  headers: Readonly<Record<string, string>>,
  changes: Partial<IncomingRequest> = {},
): IncomingRequest {
  return {
    method: request.method,
    metadata: metadata(headers),
    body: request.body,
    peer: '127.0.0.1:40000',
    ...changes,
  };
}

export function metadata(headers: Readonly<Record<string, string>>): Metadata {
  const result = new Metadata();
  for (const [name, value] of Object.entries(headers)) result.set(name, value);
  return result;
}

/** The CabstandError that something fails with. */
export async function failure(action: () => unknown): Promise<CabstandError> {
  try {
    await action();
  } catch (error) {
    if (Failure.is(error)) return error;
    throw error;
  }
  throw new Error('expected a failure');
}
