import { FakeClock } from '@cabstand/core';
import { createRouterCore } from './core';
import type { AcquireWanted } from './handouts';
import type { ProbeTarget, Prober } from './health/prober';
import type { Beat } from './heartbeats';
import type { RouterObserver } from './observer';
import type { RouterCoreOptions } from './options';
import type { Offer } from './registry/node';
import type { Registration } from './registry/validate';
import type { RouterCore } from './core';

export const HOSTER = 'hosters';
export const CLIENT = 'alice';

/** Answers probes as told; by default every node serves. */
class ScriptedProber implements Prober {
  readonly asked: ProbeTarget[] = [];
  readonly down = new Set<string>();
  /** Probes never end while set. */
  hang = false;

  probe(target: ProbeTarget): Promise<void> {
    this.asked.push(target);
    if (this.hang) return new Promise(() => undefined);
    return this.down.has(target.nodeId)
      ? Promise.reject(new Error('connection refused'))
      : Promise.resolve();
  }
}

/** A generator of numbers in [0, 1) that is the same every time (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

export interface Stand {
  readonly clock: FakeClock;
  readonly prober: ScriptedProber;
  readonly core: RouterCore;
}

export function stand(options: RouterCoreOptions = {}, observer: RouterObserver = {}): Stand {
  const clock = new FakeClock();
  const prober = new ScriptedProber();
  let ids = 0;
  const core = createRouterCore(
    {
      clock,
      random: seeded(1),
      newId: () => `lease-${ids++}`,
      settleMs: 0,
      // Most tests have all nodes of one principal.
      maxNodesPerPrincipal: options.maxNodes ?? 10_000,
      ...options,
    },
    { prober, observer },
  );
  return { clock, prober, core };
}

export function offer(name: string, more: Partial<Offer> = {}): Offer {
  return {
    name,
    version: '1',
    digest: '',
    batchClass: 'exact',
    provider: 'cpu',
    capacity: 4,
    kind: 'stateful',
    reference: 'golden',
    ...more,
  };
}

export function registration(id: string, more: Partial<Registration> = {}): Registration {
  return {
    address: `${id}.test:50051`,
    offers: [offer('m')],
    others: [],
    version: '0.1.0',
    incarnation: `${id}-1`,
    nodeId: id,
    ...more,
  };
}

export function beat(id: string, more: Partial<Beat> = {}): Beat {
  return {
    nodeId: id,
    incarnation: `${id}-1`,
    load: undefined,
    consumedLeaseIds: [],
    sessionsOpened: [],
    sessionsClosed: [],
    impairments: [],
    offers: undefined,
    others: [],
    draining: false,
    ...more,
  };
}

/** Registers a node and sends its first heartbeat. */
export function join(core: RouterCore, id: string, more: Partial<Registration> = {}): void {
  const wanted = registration(id, more);
  core.register(wanted, HOSTER);
  core.heartbeat(beat(id, { incarnation: wanted.incarnation }), HOSTER);
}

/** Lets the probes of registrations end, and forgets them. */
export async function reached({ clock, prober }: Stand): Promise<void> {
  await clock.advance(0);
  prober.asked.length = 0;
}

export function wanted(more: Partial<AcquireWanted> = {}): AcquireWanted {
  return {
    model: 'm',
    digest: '',
    exclude: [],
    allow: [],
    block: [],
    resume: false,
    sessionId: '',
    ...more,
  };
}

/** A claim on a session of `CLIENT`. */
export const claim = (sessionId: string, epoch = 1, principal = CLIENT) => ({
  sessionId,
  epoch,
  principal,
  model: 'm',
});

/** Heartbeats of the nodes for a while, one each `everyMs`. */
export async function beating(
  { core, clock }: Stand,
  ids: readonly string[],
  ms: number,
  everyMs = 1000,
): Promise<void> {
  for (let passed = 0; passed < ms; passed += everyMs) {
    await clock.advance(Math.min(everyMs, ms - passed));
    for (const id of ids) core.heartbeat(beat(id), HOSTER);
  }
}

export function stateOf(core: RouterCore, id: string): string | undefined {
  return core.nodes.get(id)?.state.kind;
}

/** A client's report that it could not reach a node. */
export const report = (nodeId: string, more = {}) => ({
  nodeId,
  incarnation: '',
  leaseId: '',
  reason: 'NODE_UNREACHABLE',
  ...more,
});

/** Matches an error with this reason and, among others, these facts. For `toThrow`. */
export function refusal(reason: string, metadata: object = {}): Error {
  const facts: unknown = expect.objectContaining(metadata);
  return expect.objectContaining({ reason, metadata: facts }) as Error;
}
