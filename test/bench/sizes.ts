/** What services hold in memory for each thing that they know: constants for docs/sizing.md. */
import path from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { RemoteManager } from '@cabstand/client';
import { CabstandError, sleep } from '@cabstand/core';
import { RpcClient } from '@cabstand/rpc';
import { REPOSITORY_ROOT, Subnet, scrape, total } from '@cabstand/testing';
import { Gateway } from '../support/gateway';
import { enginesOf, residentBytes } from '../support/processes';
import { PingPong } from './gateway';
import { fleet } from './handouts';
import { load } from './load';
import { MODEL } from './microphone';
import { heading, print } from './report';
import { format } from './stats';

const COLLECTOR = path.join(REPOSITORY_ROOT, 'test/support/collect-on-signal.cjs');
const STREAMS = 200;
const WATCHERS = 200;
const NODES = [1_000, 10_000] as const;
const COLLECT_MS = 2000;
const MIB = 2 ** 20;

interface Member {
  readonly admin: string;
  readonly child: { readonly pid: number };
}

/** Memory of a process, bytes: heap and beside it, right after a collection, and resident. */
interface Held {
  readonly used: number;
  readonly resident: number;
}

async function held({ admin, child: { pid } }: Member): Promise<Held> {
  // Garbage of one collection may hold more of it.
  for (let i = 0; i < 2; i++) {
    process.kill(pid, 'SIGUSR2');
    await sleep(COLLECT_MS);
  }
  const page = await scrape(admin);
  const used =
    total(page, 'nodejs_heap_size_used_bytes') + total(page, 'nodejs_external_memory_bytes');
  return { used, resident: residentBytes(pid) };
}

/** Bytes of a router's core for one more hoster with one model. */
function bytesANode(): number {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const heapWith = (nodes: number): number => {
    const router = fleet(nodes);
    collect();
    const { heapUsed } = process.memoryUsage();
    // So that it is there until now.
    router.stop(new CabstandError('DRAINING', 'it was measured'));
    return heapUsed;
  };
  heapWith(NODES[0]);
  const few = heapWith(NODES[0]);
  return (heapWith(NODES[1]) - few) / (NODES[1] - NODES[0]);
}

const perOne = (before: Held, after: Held, count: number): string =>
  `${format((after.used - before.used) / count / 1024, 1)} KiB each in use, ${format((after.resident - before.resident) / count / 1024, 1)} resident`;

/** Live sessions of one frame each, which stay open while `look` looks. */
async function streaming<T>(client: RpcClient, look: () => Promise<T>): Promise<T> {
  const streams = Array.from({ length: STREAMS }, () => new PingPong(client));
  try {
    for (const stream of streams) await stream.begin(1);
    return await look();
  } finally {
    for (const stream of streams) stream[Symbol.dispose]();
  }
}

export async function benchSizes(): Promise<void> {
  heading('Sizes', `one router, hoster and gateway; ${String(STREAMS)} live sessions of ${MODEL}`);
  const before = process.env['NODE_OPTIONS'];
  process.env['NODE_OPTIONS'] = `${before ?? ''} --require ${COLLECTOR}`;
  await using subnet = await Subnet.start({ hosters: 1, hosterConfig: { only: [MODEL] } });
  await using gateway = await Gateway.start(subnet);
  process.env['NODE_OPTIONS'] = before ?? '';
  const [router, hoster] = [subnet.routers[0]!, subnet.hosters[0]!];
  const authorizer = subnet.authorizer();
  const client = (address: string): RpcClient =>
    new RpcClient(address, { authorizer, keepalive: { timeoutMs: 60_000 } });
  const [direct, through] = [client(hoster.address), client(gateway.address)];
  // What the first ones bring along is no matter of each.
  for (const each of [direct, through]) await streaming(each, () => Promise.resolve());
  const [routing, hosting, gating] = [await held(router), await held(hoster), await held(gateway)];
  const engines = enginesOf(subnet).flat();
  const engine = (): Held => {
    const resident = engines.reduce((sum, pid) => sum + residentBytes(pid), 0);
    return { used: resident, resident };
  };
  const idle = engine();
  const base = (what: string, { used, resident }: Held) => ({
    what: `${what}, nothing to do`,
    value: `${format(used / MIB, 0)} MiB in use, ${format(resident / MIB, 0)} resident`,
  });
  const [live, stepping] = await streaming(direct, async () => [await held(hoster), engine()]);
  const gated = await streaming(through, () => held(gateway));
  const watchers = Array.from(
    { length: WATCHERS },
    () => new RemoteManager({ routers: subnet.routerAddresses, authorizer }),
  );
  for (const watcher of watchers) await watcher.nodes();
  const watched = await held(router);
  for (const watcher of watchers) await watcher.close();
  for (const each of [direct, through]) each.close();
  print([
    base('router', routing),
    base('hoster, main process', hosting),
    base(`its engine of ${MODEL}`, idle),
    base('gateway', gating),
    { what: 'hoster: a live session', value: perOne(hosting, live, STREAMS) },
    { what: 'its engine: a live session', value: perOne(idle, stepping, STREAMS) },
    { what: 'gateway: a live session', value: perOne(gating, gated, STREAMS) },
    { what: 'router: a client that watches', value: perOne(routing, watched, WATCHERS) },
    { what: 'router: a hoster of one model', value: `${format(bytesANode() / 1024, 1)} KiB` },
    { what: 'load average', value: format(load(), 1) },
  ]);
}
