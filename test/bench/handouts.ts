import { CabstandError } from '@cabstand/core';
import { createRouterCore } from '@cabstand/router';
import type { RouterCore } from '@cabstand/router';
import { format, show, spread } from './stats';
import { heading, print } from './report';

const SLOTS = 64;
const FLEETS = [10, 1_000, 10_000];
/** Reserved and given back in turn, so that the fleet never fills. */
const OPEN_AT_ONCE = 256;
const HAND_OUTS = 20_000;
const ROUNDS = 9;

const WANTED = {
  model: 'model',
  digest: '',
  exclude: [],
  allow: [],
  block: [],
  resume: false,
  sessionId: '',
};

/** A router that knows `nodes` hosters with one model, all online. */
export function fleet(nodes: number): RouterCore {
  const router = createRouterCore({
    maxNodes: nodes,
    maxNodesPerPrincipal: nodes,
    maxReservationsPerPrincipal: 2 * OPEN_AT_ONCE,
  });
  for (let i = 0; i < nodes; i++) {
    const nodeId = `node-${String(i)}`;
    const incarnation = `start-${String(i)}`;
    const offer = {
      name: WANTED.model,
      version: '1',
      digest: `sha256:${'0'.repeat(64)}`,
      batchClass: 'exact' as const,
      provider: 'cpu',
      capacity: SLOTS,
      kind: 'stateful',
      reference: 'golden',
    };
    const address = `10.${String(i >> 16)}.${String((i >> 8) & 255)}.${String(i & 255)}:50051`;
    router.register(
      { address, offers: [offer], others: [], version: '1', incarnation, nodeId },
      'hoster',
    );
    const load = {
      model: WANTED.model,
      freeSlots: SLOTS,
      resumeSlots: 0,
      queueDepth: 0,
      stepSeconds: 0.001,
    };
    router.heartbeat(
      {
        nodeId,
        incarnation,
        load: { models: [load], openSessions: 0, eventLoopLagSeconds: 0 },
        consumedLeaseIds: [],
        sessionsOpened: [],
        sessionsClosed: [],
        impairments: [],
        offers: undefined,
        others: [],
        draining: false,
      },
      'hoster',
    );
  }
  return router;
}

/** Microseconds of a hand-out. */
function round(router: RouterCore): number {
  const open: string[] = [];
  const start = performance.now();
  for (let i = 0; i < HAND_OUTS; i++) {
    open.push(router.acquire(WANTED, 'client').lease.leaseId);
    if (open.length > OPEN_AT_ONCE) router.release(open.shift() as string);
  }
  const micros = ((performance.now() - start) * 1000) / HAND_OUTS;
  for (const id of open) router.release(id);
  return micros;
}

/** What a hand-out costs with fleets of three sizes, taken in turns. */
export function benchHandOuts(): void {
  heading(
    'Hand-outs',
    `the router’s core without transport and signatures, ${format(HAND_OUTS, 0)} a round, ${String(ROUNDS)} rounds, fleets in turns`,
  );
  const routers = FLEETS.map((nodes) => ({ nodes, router: fleet(nodes), micros: [] as number[] }));
  for (const { router } of routers) round(router);
  for (let i = 0; i < ROUNDS; i++)
    for (const { router, micros } of routers) micros.push(round(router));
  print(
    routers.map(({ nodes, micros }) => ({
      what: `${format(nodes, 0)} nodes`,
      value: `${show(spread(micros), 2)} µs each, ${format(1e6 / spread(micros).median, 0)} a second`,
    })),
  );
  for (const { router } of routers)
    router.stop(new CabstandError('DRAINING', 'the benchmark is over'));
}
