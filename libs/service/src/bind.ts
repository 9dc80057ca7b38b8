import { CabstandError } from '@cabstand/core';
import { isLoopbackHost } from '@cabstand/auth';
import type { AuthConfig } from '@cabstand/auth-admin';
import { splitAddress } from '@cabstand/rpc';
import type { Logger } from './log';

/**
 * Deny by default: without authentication a service binds to loopback only. Throws CONFIG_INVALID that
 * says what to do.
 */
export function checkBind(
  listen: string,
  auth: Pick<AuthConfig, 'mode' | 'allow_remote'>,
  logger: Pick<Logger, 'warn'>,
): void {
  if (auth.mode !== 'none') return;
  const { host } = splitAddress(listen);
  if (isLoopbackHost(host)) {
    logger.warn({ listen }, 'no credentials are configured: only this machine is served');
    return;
  }
  if (!auth.allow_remote)
    throw new CabstandError(
      'CONFIG_INVALID',
      `listen is ${listen}, which other machines can reach, but auth.mode is "none". Set auth.mode to ` +
        '"keys" (cabstand keys makes them), listen on 127.0.0.1, or, on a network where everybody may ' +
        'do everything, set auth.allow_remote to true',
      { metadata: { field: 'listen', value: listen } },
    );
  logger.warn({ listen }, 'auth.allow_remote: anybody who reaches this address may do everything');
}
