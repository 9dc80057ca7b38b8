/** What a fleet of hosters costs its router. */
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { loadavg, setPriority } from 'node:os';
import path from 'node:path';
import { sleep } from '@cabstand/core';
import { Subnet, until } from '@cabstand/testing';
import type { Service } from '@cabstand/testing';
import { cpuSeconds, residentBytes, waitedSeconds } from '../../support/processes';
import { noCores, pin } from '../cores';
import { heading, print } from '../report';
import { format, quantile } from '../stats';
import { Worker } from '../worker';
import type { CallerJob, FleetCounts, FromCaller, ToFleet, Used } from './messages';

export interface FleetBench {
  /** Simulated hosters. */
  readonly nodes: number;
  /** Connections that they share; 0: one each. */
  readonly connections: number;
  /** Length of each measurement. */
  readonly seconds: number;
  /** Root of the build that the router is started from; undefined: this one. */
  readonly build: string | undefined;
}

const PROCESSES = 2;
const HAND_OUTS_PER_SECOND = 1000;
/** Share of the heartbeats with another load than the one before. */
const CHANGING = 0.25;
const COMPLETE_MS = 120_000;
/** Metrics of the router are read so often until all are online: to render them costs it some milliseconds. */
const POLL_MS = 500;
const MIB = 1 << 20;

interface Window {
  /** Share of a core. */
  readonly cpu: number;
  /** Share of the time that it was ready to run and had no core. */
  readonly waited: number;
  readonly beats: number;
  readonly answers: number;
  readonly bytes: number;
  readonly pings: number;
}

export async function benchFleet({
  nodes,
  connections,
  seconds,
  build,
}: FleetBench): Promise<void> {
  const shared = connections === 0 ? 'a connection each' : `${String(connections)} connections`;
  heading(
    'A fleet of hosters',
    `${format(nodes, 0)} simulated hosters in ${String(PROCESSES)} processes, ${shared}, without credentials, ` +
      `${format(CHANGING * 100, 0)} % of their heartbeats with a new load; load average ${format(loadavg()[0] ?? NaN, 1)} before`,
  );
  await using subnet = await Subnet.start({
    routers: 0,
    hosters: 0,
    auth: 'none',
    routerConfig: {
      // All hosters, and the caller, are one principal here.
      registry: { max_nodes: nodes, max_nodes_per_principal: nodes },
      rpc: { max_concurrent_calls_per_principal: 25_000, max_concurrent_streams: 100_000 },
      placement: { max_reservations_per_principal: 100_000 },
    },
  });
  subnet.build = build ?? subnet.build;
  const router = await subnet.startRouter(0);
  subnet.routers.push(router);
  await subnet.ready(router);
  const fleet = new Fleet(router.address, nodes, connections);
  try {
    const joined = await fleet.start(router);
    const periodMs = await settled(fleet, nodes);
    const quiet = await measured(fleet, router, seconds);
    const rss = residentBytes(router.child.pid);
    const [busy, handOuts] = await Promise.all([
      measured(fleet, router, seconds),
      fleet.handOut({ router: router.address, perSecond: HAND_OUTS_PER_SECOND, seconds }),
    ]);
    router.child.kill('SIGKILL');
    await router.child.exited;
    const again = await subnet.startRouter(0, router);
    await subnet.ready(again);
    const complete = await completed(again, nodes);
    await again.child.stop();
    report({ joined, periodMs, quiet, rss, busy, complete, nodes, seconds }, handOuts);
  } finally {
    fleet.stop();
  }
}

/** Real hosters run elsewhere: these take of a core what is left of it. */
const NICENESS = 19;

/** The processes with the hosters, and the one that asks for them; not on the router's core, where there are two. */
class Fleet {
  readonly #workers: Worker<ToFleet>[] = [];
  readonly #caller: ChildProcess = fork(path.join(__dirname, 'caller.js'));

  constructor(
    private readonly router: string,
    private readonly nodes: number,
    private readonly connections: number,
  ) {
    for (let i = 0; i < PROCESSES; i++)
      this.#workers.push(new Worker<ToFleet>(path.join(__dirname, 'hosters.js')));
    for (const { pid } of this.#workers) setPriority(pid, NICENESS);
    if (noCores() !== undefined) return;
    for (const { pid } of [...this.#workers, this.#caller]) pin(Number(pid), 'others');
  }

  async start(router: Service): Promise<Completed> {
    const count = Math.ceil(this.nodes / PROCESSES);
    const jobs = this.#workers.map((worker, i) => {
      const first = i * count;
      const here = Math.min(count, this.nodes - first);
      const connections =
        this.connections === 0 ? here : Math.max(1, Math.floor(this.connections / PROCESSES));
      return worker.ask({
        start: { router: this.router, first, count: here, connections, changing: CHANGING },
      });
    });
    await Promise.all(jobs);
    return completed(router, this.nodes);
  }

  async counts(): Promise<FleetCounts> {
    const all = (await Promise.all(
      this.#workers.map((worker) => worker.ask({ count: true })),
    )) as FleetCounts[];
    const sum = (pick: (one: FleetCounts) => number): number =>
      all.reduce((total, one) => total + pick(one), 0);
    return {
      beats: sum(({ beats }) => beats),
      answers: sum(({ answers }) => answers),
      bytes: sum(({ bytes }) => bytes),
      pings: sum(({ pings }) => pings),
    };
  }

  handOut(job: CallerJob): Promise<Exclude<FromCaller, { readonly used: unknown }>> {
    return new Promise((resolve) => {
      this.#caller.on('message', (message: FromCaller) => {
        if ('times' in message) resolve(message);
        else this.#used(message.used);
      });
      this.#caller.send({ run: job });
    });
  }

  stop(): void {
    for (const worker of this.#workers) worker[Symbol.dispose]();
    this.#caller.kill();
  }

  /** Their heartbeats tell that these leases are used. */
  #used(used: readonly Used[]): void {
    if (used.length === 0) return;
    for (const worker of this.#workers) worker.tell({ used });
  }
}

interface Completed {
  /** Milliseconds until the router had all nodes online. */
  readonly ms: number;
  /** Processor time that it took meanwhile, in seconds. */
  readonly cpu: number;
}

/** Waits until the router has so many nodes online. */
async function completed({ admin, child }: Service, nodes: number): Promise<Completed> {
  const begun = performance.now();
  const before = cpuSeconds(child.pid);
  let states: Readonly<Record<string, number>> = {};
  await until(
    'all hosters to be online',
    async () => {
      await sleep(POLL_MS);
      states = await statesOf(admin);
      return (states.ONLINE ?? 0) >= nodes || undefined;
    },
    {
      timeoutMs: COMPLETE_MS,
      explain: () => `${JSON.stringify(states)}\n${child.output.slice(-2000)}`,
    },
  );
  return { ms: performance.now() - begun, cpu: cpuSeconds(child.pid) - before };
}

/** How many nodes a router knows, by state. */
async function statesOf(admin: string): Promise<Readonly<Record<string, number>>> {
  const response = await fetch(`http://${admin}/metrics`);
  const lines = (await response.text()).matchAll(/^cabstand_nodes\{state="(\w+)"[^}]*\} (\d+)/gm);
  return Object.fromEntries(
    Array.from(lines, ([, state = '', count]) => [state, Number(count)] as const),
  );
}

/** Waits for two periods, so that probes and first answers are over. Answers the period in milliseconds. */
async function settled(fleet: Fleet, nodes: number): Promise<number> {
  const periodMs = Math.max(1, Math.ceil(nodes / 1000)) * 1000;
  await sleep(2 * periodMs);
  await fleet.counts();
  return periodMs;
}

async function measured(fleet: Fleet, { child }: Service, seconds: number): Promise<Window> {
  await fleet.counts();
  const begun = performance.now();
  const before = cpuSeconds(child.pid);
  const waitedBefore = waitedSeconds(child.pid);
  await sleep(seconds * 1000);
  const cpu = cpuSeconds(child.pid) - before;
  const waited = waitedSeconds(child.pid) - waitedBefore;
  const elapsed = (performance.now() - begun) / 1000;
  const { beats, answers, bytes, pings } = await fleet.counts();
  return {
    cpu: cpu / elapsed,
    waited: waited / elapsed,
    beats: beats / elapsed,
    answers: answers / elapsed,
    bytes: bytes / beats,
    pings: pings / elapsed,
  };
}

interface Figures {
  readonly joined: Completed;
  readonly periodMs: number;
  readonly quiet: Window;
  readonly rss: number;
  readonly busy: Window;
  readonly complete: Completed;
  readonly nodes: number;
  readonly seconds: number;
}

function report(
  { joined, periodMs, quiet, rss, busy, complete, nodes, seconds }: Figures,
  { times, refused, why }: Exclude<FromCaller, { readonly used: unknown }>,
): void {
  const percent = (share: number): string => `${format(share * 100, 1)} %`;
  const p99 = quantile(times, 0.99);
  const handedOut = times.length / seconds;
  const taken = ({ ms, cpu }: Completed): string =>
    `${format(ms / 1000, 1)} s, ${format((cpu * 1000) / nodes, 2)} ms of the router's processor each`;
  print([
    { what: 'all online, after their first registration', value: taken(joined) },
    {
      what: 'router, of a core, heartbeats alone',
      value: percent(quiet.cpu),
      target: { text: 'at most 25 %', met: quiet.cpu <= 0.25 },
    },
    {
      what: '… microseconds of it for each heartbeat, with all else',
      value: format((quiet.cpu * 1e6) / quiet.beats, 0),
    },
    {
      what: 'heartbeats a second, bytes each; answers, pings a second',
      value: `${format(quiet.beats, 0)}, ${format(quiet.bytes, 0)}; ${format(quiet.answers, 0)}, ${format(quiet.pings, 0)} (period ${String(periodMs / 1000)} s)`,
    },
    {
      what: 'resident memory of the router',
      value: `${format(rss / MIB, 0)} MiB, ${format(rss / 1024 / nodes, 1)} KiB a hoster`,
    },
    {
      what: `router, with ${format(handedOut, 0)} hand-outs a second beside`,
      value: `${percent(busy.cpu)}, ${format(((busy.cpu - quiet.cpu) * 1e6) / handedOut, 0)} microseconds each`,
    },
    {
      what: 'a hand-out there and back, p50 and p99',
      value: `${format(quantile(times, 0.5), 2)} and ${format(p99, 2)} ms`,
      target: { text: 'p99 at most 1 ms', met: p99 <= 1 },
    },
    {
      what: '… and meanwhile the router was kept waiting for a core',
      value: `${percent(busy.waited)} of the time`,
    },
    {
      what: 'hand-outs refused',
      value: refused === 0 ? '0' : `${String(refused)} (${why})`,
      target: { text: 'none', met: refused === 0 },
    },
    {
      what: 'a restarted router has all online again after',
      value: taken(complete),
    },
  ]);
}
