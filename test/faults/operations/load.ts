import { channelCredentials } from '@cabstand/auth';
import { RemoteManager, SessionManager } from '@cabstand/client';
import { scrape, total, until } from '@cabstand/testing';
import type { Subnet } from '@cabstand/testing';
import type { Caller, Callers, Seen } from '../callers';

/** A machine may be busy with other things. */
const PATIENCE_MS = 60_000;
const PATIENT = { keepalive: { timeoutMs: 20_000 }, connectMs: 10_000, acquireMs: 20_000 };
const TIMEOUTS = { placeMs: 120_000, recoverMs: 120_000, firstMs: 60_000, stallMs: 20_000 };

/** Waits as long as a busy machine may take. */
export const eventually = <T>(
  what: string,
  ask: () => Promise<T | undefined> | T | undefined,
): Promise<T> => until(what, ask, { timeoutMs: PATIENCE_MS });

/** A client that has the key that lies in the folder of the subnet now, and knows the routers that there are now. */
export function newCaller(subnet: Subnet): Caller {
  const options = {
    authorizer: subnet.authorizer('client'),
    credentials: channelCredentials(subnet.clientTls),
  };
  const remote = new RemoteManager({ routers: subnet.routerAddresses, ...options, ...PATIENT });
  return { remote, sessions: new SessionManager(remote, { timeouts: TIMEOUTS }) };
}

/** Throws unless every caller went on meanwhile, sessions were opened, and none failed. */
export async function unharmed(callers: Callers, act: () => Promise<unknown>): Promise<Seen> {
  const seen = await callers.over(act);
  const { running, opening } = callers;
  if (seen.running < running || seen.opened < opening)
    throw new Error(
      `${String(seen.running)} of ${String(running)} sessions went on, and ${String(seen.opened)} were opened`,
    );
  return seen;
}

/** Sessions that a hoster has open. */
export const sessionsAt = async (admin: string): Promise<number> =>
  total(await scrape(admin), 'cabstand_open_sessions');

/** How many sessions had their first turn at a hoster. */
export const openedAt = ({ places }: Seen, address: string): number =>
  [...places].reduce(
    (sum, [place, count]) => sum + (place.startsWith(`${address}@`) ? count : 0),
    0,
  );
