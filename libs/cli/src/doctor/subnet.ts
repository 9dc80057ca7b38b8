import { CabstandError } from '@cabstand/core';
import type { v1 } from '@cabstand/rpc';
import { adviceFor } from '../errors';
import { connectionAdvice } from '../advice';
import type { Connection } from '../subnet/connection';
import { isUnreachable } from '../subnet/connection';
import { duration } from '../render/units';
import { fail, messageOf, ok, warn } from './finding';
import type { Finding } from './finding';

/** Signatures are refused beyond a minute; half of that is too close. */
const SKEW_MS = 30_000;

/** Routers, hosters, and the clocks of both. `configured`: somebody said there is a subnet. */
export async function checkSubnet(
  connection: Connection,
  hoster: string | undefined,
  configured: boolean,
  nowMs = Date.now(),
): Promise<Finding[]> {
  let nodes: v1.NodeInfo__Output[];
  try {
    nodes = await connection.nodes();
  } catch (error) {
    if (isUnreachable(error) || reasonOf(error) === 'ROUTER_UNREACHABLE') {
      const where = connection.routers.join(', ');
      return configured
        ? [
            fail(
              'router',
              messageOf(error),
              connectionAdvice(error) ?? 'Start it, or correct --router or CABSTAND_ROUTERS.',
            ),
          ]
        : [ok('router', `none at ${where}: \`cabstand up\` starts one`)];
    }
    return [
      fail('router', `refused: ${messageOf(error)}`, adviceFor(error) ?? 'Check the credentials.'),
    ];
  }
  const online = nodes.filter(({ state }) => state === 'NODE_STATE_ONLINE');
  const about = `${connection.routers.join(', ')} answers; ${online.length} of ${nodes.length} hosters online`;
  const findings = [
    online.length === 0
      ? warn('router', about, 'Start hosters with `cabstand hoster`, and see their logs.')
      : ok('router', about),
    ...clocks(nodes, nowMs),
  ];
  const addresses =
    hoster === undefined ? nodes.filter(notOffline).map(({ address }) => address) : [hoster];
  return [
    ...findings,
    ...(await Promise.all(addresses.map((address) => checkHoster(connection, address)))),
  ];
}

async function checkHoster(connection: Connection, address: string): Promise<Finding> {
  const name = `hoster ${address}`;
  try {
    const { models, version } = await connection.info(address);
    const broken = models.filter(({ state }) => state === 'MODEL_STATE_FAILED');
    if (broken.length === 0) return ok(name, `answers (${version}); ${models.length} models`);
    return fail(
      name,
      broken.map(({ offer, failure }) => `${offer?.name ?? '?'} failed: ${failure}`).join('; '),
      'Mend the model, then `cabstand load MODEL`.',
    );
  } catch (error) {
    return fail(
      name,
      messageOf(error),
      adviceFor(error) ??
        'Clients must reach the address that it advertises: check advertise and firewalls.',
    );
  }
}

/** Heartbeats carry the router's clock: the newest one cannot be in the future, nor long ago. */
function clocks(nodes: readonly v1.NodeInfo__Output[], nowMs: number): Finding[] {
  const newest = Math.max(
    ...nodes
      .filter(({ state }) => state === 'NODE_STATE_ONLINE')
      .map(({ last_heartbeat: at }) =>
        at === null ? -Infinity : at.seconds * 1000 + at.nanos / 1e6,
      ),
  );
  if (!Number.isFinite(newest)) return [];
  const behind = newest - nowMs;
  if (Math.abs(behind) < SKEW_MS) return [ok('clock', 'this machine and the router agree')];
  return [
    fail(
      'clock',
      `this machine is ${duration(Math.abs(behind))} ${behind > 0 ? 'behind' : 'ahead of'} the router`,
      'Set the clock (NTP): signatures are refused when clocks differ by more than a minute.',
    ),
  ];
}

function notOffline({ state }: v1.NodeInfo__Output): boolean {
  return state !== 'NODE_STATE_OFFLINE';
}

function reasonOf(error: unknown): string {
  return CabstandError.is(error) ? error.reason : '';
}
