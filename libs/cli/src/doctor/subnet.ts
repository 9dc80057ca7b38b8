import { CabstandError } from '@cabstand/core';
import type { v1 } from '@cabstand/rpc';
import { adviceFor } from '../errors';
import { connectionAdvice } from '../advice';
import type { Connection } from '../subnet/connection';
import { isUnreachable } from '../subnet/connection';
import { clockFinding } from './clocks';
import type { ServerClocks } from './clocks';
import { fail, messageOf, ok, warn } from './finding';
import type { Finding } from './finding';
import { checkProviders } from './providers';
import type { HosterAnswer } from './providers';

export interface SubnetOptions {
  /** Look at this hoster only, `host:port`. Default: at all that are not OFFLINE. */
  readonly hoster?: string | undefined;
  /** Somebody said that there is a subnet: it is a failure where there is none. */
  readonly configured: boolean;
  /** What the calls of the connection told of the servers' clocks. Default: nothing. */
  readonly clocks?: Pick<ServerClocks, 'finding'> | undefined;
  /** The first provider in each model's manifest here, by the model's name. Default: of none. */
  readonly preferred?: ReadonlyMap<string, string>;
  readonly nowMs?: number;
}

/** What the routers and hosters of a subnet told, and at which addresses they were called. */
export interface SubnetReport {
  readonly findings: readonly Finding[];
  /** Of routers and hosters that were called. */
  readonly called: readonly string[];
}

type RouterAnswer =
  | { readonly kind: 'nodes'; readonly router: string; readonly nodes: v1.NodeInfo__Output[] }
  | { readonly kind: 'failed'; readonly router: string; readonly error: unknown };

/** Every router and every hoster, the clocks of both, and what models run on. */
export async function checkSubnet(
  connection: Connection,
  { hoster, configured, clocks, preferred = new Map(), nowMs = Date.now() }: SubnetOptions,
): Promise<SubnetReport> {
  const answers = await Promise.all(connection.routers.map((router) => ask(connection, router)));
  if (!configured && answers.every(isGone))
    return {
      findings: [
        ok('router', `none at ${connection.routers.join(', ')}: \`cabstand up\` starts one`),
      ],
      called: [],
    };
  const findings = answers.flatMap((answer) =>
    answer.kind === 'failed'
      ? [routerFailed(answer.router, answer.error)]
      : [
          routerAnswers(answer.router, answer.nodes),
          clocks?.finding(answer.router) ?? clockByHeartbeats(answer.router, answer.nodes, nowMs),
        ],
  );
  const nodes = new Map<string, v1.NodeInfo__Output>();
  for (const answer of answers)
    if (answer.kind === 'nodes')
      for (const node of answer.nodes) if (!nodes.has(node.node_id)) nodes.set(node.node_id, node);
  const known = [...nodes.values()].filter(({ state }) => state !== 'NODE_STATE_OFFLINE');
  const hosters =
    hoster === undefined
      ? known
      : [known.find(({ address }) => address === hoster) ?? { address: hoster }];
  const asked = await Promise.all(hosters.map((node) => checkHoster(connection, node)));
  const answered = asked.flatMap(({ answer }) => (answer === undefined ? [] : [answer]));
  return {
    findings: [
      ...findings,
      ...asked.flatMap(({ finding }, i) => [finding, clocks?.finding(hosters[i]?.address ?? '')]),
      ...checkProviders(answered, preferred),
    ].filter((finding) => finding !== undefined),
    called: [...connection.routers, ...hosters.map(({ address }) => address)],
  };
}

async function ask(connection: Connection, router: string): Promise<RouterAnswer> {
  try {
    return { kind: 'nodes', router, nodes: await connection.nodesOf(router) };
  } catch (error) {
    return { kind: 'failed', router, error };
  }
}

function isGone(answer: RouterAnswer): boolean {
  return (
    answer.kind === 'failed' &&
    (isUnreachable(answer.error) || reasonOf(answer.error) === 'ROUTER_UNREACHABLE')
  );
}

function routerFailed(router: string, error: unknown): Finding {
  const name = `router ${router}`;
  return isGone({ kind: 'failed', router, error })
    ? fail(
        name,
        messageOf(error),
        connectionAdvice(error) ?? 'Start it, or correct --router or CABSTAND_ROUTERS.',
      )
    : fail(name, `refused: ${messageOf(error)}`, adviceFor(error) ?? 'Check the credentials.');
}

function routerAnswers(router: string, nodes: readonly v1.NodeInfo__Output[]): Finding {
  const online = nodes.filter(({ state }) => state === 'NODE_STATE_ONLINE');
  const about = `answers; ${online.length} of ${nodes.length} hosters online`;
  return online.length === 0
    ? warn(
        `router ${router}`,
        about,
        'Start hosters with `cabstand hoster`, name this router in their `routers`, and see their logs.',
      )
    : ok(`router ${router}`, about);
}

/** The hoster as clients reach it: at the address that it advertises. */
async function checkHoster(
  connection: Connection,
  node: { readonly address: string; readonly node_id?: string },
): Promise<{ readonly finding: Finding; readonly answer?: HosterAnswer }> {
  const { address, node_id: id } = node;
  const name = `hoster ${address}`;
  try {
    const info = await connection.info(address);
    const { models, version } = info;
    if (id !== undefined && info.node_id !== id)
      return {
        finding: fail(
          name,
          `${id} advertises this address, and ${info.node_id} answers there`,
          'Give each hoster an `advertise` of its own that clients reach, not loopback and not the address of another one.',
        ),
      };
    const answer = { address, info };
    const broken = models.filter(({ state }) => state === 'MODEL_STATE_FAILED');
    if (broken.length === 0)
      return { finding: ok(name, `answers (${version}); ${models.length} models`), answer };
    return {
      finding: fail(
        name,
        broken.map(({ offer, failure }) => `${offer?.name ?? '?'} failed: ${failure}`).join('; '),
        'Mend the model, then `cabstand load MODEL`.',
      ),
      answer,
    };
  } catch (error) {
    return {
      finding: fail(
        name,
        messageOf(error),
        adviceFor(error) ??
          'Clients must reach the address that it advertises: check advertise and firewalls.',
      ),
    };
  }
}

/** Of a router whose answers do not tell its time: heartbeats do, and the newest cannot be in the future, nor long ago. */
function clockByHeartbeats(
  router: string,
  nodes: readonly v1.NodeInfo__Output[],
  nowMs: number,
): Finding | undefined {
  const newest = Math.max(
    ...nodes
      .filter(({ state }) => state === 'NODE_STATE_ONLINE')
      .map(({ last_heartbeat: at }) =>
        at === null ? -Infinity : at.seconds * 1000 + at.nanos / 1e6,
      ),
  );
  return Number.isFinite(newest)
    ? clockFinding(router, { aheadMs: newest - nowMs, withinMs: HEARTBEAT_MS })
    : undefined;
}

/** The newest heartbeat of a router may be this old. */
const HEARTBEAT_MS = 5000;

function reasonOf(error: unknown): string {
  return CabstandError.is(error) ? error.reason : '';
}
