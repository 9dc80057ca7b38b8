import type { Server, ServerCredentials } from '@grpc/grpc-js';
import { CabstandError } from '@cabstand/core';

/** Binds, and says what to do when that fails. */
export function bind(
  server: Server,
  address: string,
  credentials: ServerCredentials,
): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(address, credentials, (error, port) => {
      if (error === null) resolve(port);
      else reject(bindError(address, error));
    });
  });
}

/** What binding `address` failed with, for people. */
export function bindError(address: string, cause: Error): CabstandError {
  const options = { metadata: { address }, cause };
  if (cause.message.includes('EADDRINUSE'))
    return new CabstandError(
      'ADDRESS_IN_USE',
      `${address} is in use by another process: stop that one, or listen on another port`,
      options,
    );
  if (cause.message.includes('EACCES'))
    return new CabstandError(
      'CONFIG_INVALID',
      `no permission to listen on ${address}: ports below 1024 need privileges, choose a higher one`,
      options,
    );
  return new CabstandError(
    'CONFIG_INVALID',
    `cannot listen on ${address}: ${cause.message.split('\n')[0] ?? ''}`,
    options,
  );
}
