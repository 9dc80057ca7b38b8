import { existsSync } from 'node:fs';
import { subnetPaths, writeClientToken } from '@cabstand/auth-admin';
import { CabstandError, every, systemClock } from '@cabstand/core';
import type { Clock, Timer } from '@cabstand/core';
import { addressOf, servicesOf } from './layout';
import type { SubnetLayout } from './layout';

/** The token is good for a day. */
const RENEW_MS = 6 * 3600 * 1000;

/**
 * Keeps `client.token` good while a local subnet runs, for tools that cannot sign: a token for the services
 * of this subnet and no others. Where the issuer's key is kept elsewhere none is written. The timer ends it.
 *
 * @param tell says what kept the token from being written, in one line
 */
export async function keepToken(
  layout: SubnetLayout,
  tell: (what: string) => void,
  clock: Clock = systemClock,
): Promise<Timer> {
  const { keys } = layout;
  const servers = servicesOf(layout).map(addressOf);
  const issuer = subnetPaths(keys).key('issuer');
  const write = async (): Promise<void> => {
    if (existsSync(issuer)) await writeClientToken(keys, servers, clock);
    else tell(`no new client.token: ${issuer}, which signs it, is not there`);
  };
  await write();
  return every(clock, RENEW_MS, () => {
    write().catch((error: unknown) => {
      tell(`client.token was not renewed: ${CabstandError.from(error).message}`);
    });
  });
}
