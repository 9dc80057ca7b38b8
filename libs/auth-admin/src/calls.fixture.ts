import { Metadata } from '@grpc/grpc-js';
import { CabstandError } from '@cabstand/core';
import type { IncomingRequest, OutgoingRequest } from '@cabstand/rpc';

export function outgoing(changes: Partial<OutgoingRequest> = {}): OutgoingRequest {
  return {
    method: '/cabstand.v1.RouterService/rpc_acquire',
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
    if (CabstandError.is(error)) return error;
    throw error;
  }
  throw new Error('expected a failure');
}
