import { CabstandError } from '@cabstand/core';

export type ServiceKind = 'router' | 'hoster';

/**
 * An error of a call, with what it means where the server does not even have the service: the address is
 * that of something else. Any other as it is. (A router or hoster refuses a method of its own with details,
 * so a bare UNIMPLEMENTED is gRPC's.)
 */
export function ofService(thrown: unknown, kind: ServiceKind, address: string): CabstandError {
  const error = CabstandError.from(thrown);
  if (error.reason !== 'UNIMPLEMENTED' || error.metadata['grpc_status'] !== 'UNIMPLEMENTED')
    return error;
  return new CabstandError('UNIMPLEMENTED', `${address} answers, but not as a ${kind}`, {
    metadata: { ...error.metadata, address, not_a: kind },
    cause: error,
  });
}
