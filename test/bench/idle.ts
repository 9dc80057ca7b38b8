import path from 'node:path';
import { authConfigSchema, createClientAuthorizer } from '@cabstand/auth-admin';
import { RemoteManager, SessionManager } from '@cabstand/client';
import type { Session } from '@cabstand/client';
import { sleep } from '@cabstand/core';
import { BUNDLED_MODELS, REPOSITORY_ROOT, Subnet, scrape, total, until } from '@cabstand/testing';
import { cpuSeconds, enginesOf, residentBytes } from '../support/processes';
import type { ToLive } from './idle-live';
import { load } from './load';
import { MODEL, record } from './microphone';
import { heading, print } from './report';
import { format, quantile } from './stats';
import { Worker } from './worker';

const LIVE = 500;
/** Each live session sends a frame, and waits for its record, once in this time. */
const BEAT_MS = 2500;
/** Before a round, which the first frames of all belong to. */
const LEAD_IN_MS = 5000;
const ROUND_MS = 20_000;
/** What comes behind a round is over by then. */
const CALM_MS = 4000;
/** Sessions that were used let go of what they only keep for a while. */
const SETTLE_MS = 15_000;
const COLLECTOR = path.join(REPOSITORY_ROOT, 'test/support/collect-on-signal.cjs');
/** Sessions that are opened, or taken up again, at once. */
const AT_ONCE = 16;
const REVIVED = 500;
/** Opening them must not take longer than they last. */
const LIMITS = { idle_timeout_seconds: 3600 };

/** Bytes of the main process right after a collection. */
interface Memory {
  readonly heap: number;
  readonly external: number;
}

/** What a round of the live sessions came to, and what the hoster had at its end. */
interface Round extends Memory {
  /** Milliseconds from a frame to its record. */
  readonly times: readonly number[];
  /** Share of a core that the main process computed. */
  readonly cpu: number;
  /** Bytes that are resident, of the main process and of engines. */
  readonly resident: number;
  readonly engine: number;
}

/** What sessions that do nothing cost a hoster with its default limits, and those that stream beside them. */
export async function benchIdle(idle: number): Promise<void> {
  heading(
    'Idle sessions',
    `one hoster, default limits but for ${Object.keys(LIMITS).join()}; ${format(idle, 0)} durable sessions of Silero VAD after one turn of one record, beside ` +
      `${format(LIVE, 0)} live ones, each a frame every ${String(BEAT_MS)} ms; rounds of ${String(ROUND_MS / 1000)} s`,
  );
  const before = process.env['NODE_OPTIONS'];
  process.env['NODE_OPTIONS'] = `${before ?? ''} --require ${COLLECTOR}`;
  await using subnet = await Subnet.start({
    hosters: 1,
    hosterConfig: { models: [BUNDLED_MODELS], only: [MODEL], limits: LIMITS },
  });
  process.env['NODE_OPTIONS'] = before ?? '';
  const auth = subnet.authConfig('client');
  using live = new Worker<ToLive>(path.join(__dirname, 'idle-live.js'));
  const target = { routers: subnet.routerAddresses, auth, sessions: LIVE, beatMs: BEAT_MS };
  await live.ask({ start: target });
  const without = await round(subnet, live);
  const authorizer = createClientAuthorizer(authConfigSchema.parse({ ...auth, scheme: 'bearer' }));
  const remote = new RemoteManager({ routers: subnet.routerAddresses, authorizer });
  const manager = new SessionManager(remote, {
    maxSessions: idle,
    timeouts: { firstMs: 60_000, stallMs: 60_000 },
  });
  const sessions = Array.from({ length: idle }, () => manager.session({ model: MODEL }));
  const opening = performance.now();
  const [some, others] = [sessions.slice(0, idle / 2), sessions.slice(idle / 2)];
  await each(some, record);
  const halfway = performance.now();
  await areIdle(subnet, some.length);
  await sleep(SETTLE_MS);
  const half = await memory(subnet);
  const paused = performance.now() - halfway;
  await each(others, record);
  const seconds = (performance.now() - opening - paused) / 1000;
  await areIdle(subnet, idle);
  await sleep(SETTLE_MS);
  // Now, and not after the round: live sessions keep input since their last snapshot, of some more and some less.
  const whole = await memory(subnet);
  const beside = await round(subnet, live);
  const revived: number[] = [];
  await each(
    sessions.filter((_, i) => i % Math.ceil(idle / REVIVED) === 0),
    async (session) => {
      const begun = performance.now();
      await record(session);
      revived.push(performance.now() - begun);
    },
  );
  const open = await gauge(subnet, 'cabstand_open_sessions');
  // Their hoster goes first: closing each of them there is no part of this.
  await subnet.stop();
  await Promise.all([manager.close(), remote.close()]);
  report(idle, without, beside, { more: others.length, half, whole });
  print([
    { what: 'opened', value: `${format(idle / seconds, 0)} a second, ${String(AT_ONCE)} at once` },
    { what: 'open at the end', value: format(open, 0) },
    {
      what: `next turn of ${String(revived.length)} of them, p50 and p99`,
      value: `${format(quantile(revived, 0.5), 0)} and ${format(quantile(revived, 0.99), 0)} ms, ${String(AT_ONCE)} at once`,
    },
    { what: 'load average', value: format(load(), 1) },
  ]);
}

async function each(
  sessions: readonly Session[],
  run: (session: Session) => Promise<void>,
): Promise<void> {
  const left = [...sessions].reverse();
  const loop = async (): Promise<void> => {
    for (let one = left.pop(); one !== undefined; one = left.pop()) await run(one);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, loop));
}

async function gauge(subnet: Subnet, name: string): Promise<number> {
  return total(await scrape(hosterOf(subnet).admin), name);
}

function hosterOf({ hosters: [hoster] }: Subnet): Subnet['hosters'][number] {
  if (hoster === undefined) throw new Error('no hoster');
  return hoster;
}

async function areIdle(subnet: Subnet, sessions: number): Promise<void> {
  await until('all are idle', async () =>
    (await gauge(subnet, 'cabstand_idle_sessions')) < sessions ? undefined : true,
  );
}

async function memory(subnet: Subnet): Promise<Memory> {
  const { child, admin } = hosterOf(subnet);
  // Garbage of one collection may hold more of it.
  for (let i = 0; i < 2; i++) {
    process.kill(child.pid, 'SIGUSR2');
    await sleep(CALM_MS / 2);
  }
  const page = await scrape(admin);
  const heap = total(page, 'nodejs_heap_size_used_bytes');
  const external = total(page, 'nodejs_external_memory_bytes');
  return { heap, external };
}

async function round(subnet: Subnet, live: Worker<ToLive>): Promise<Round> {
  const { child } = hosterOf(subnet);
  await live.ask({ streaming: true });
  await sleep(LEAD_IN_MS);
  await live.ask({ take: true });
  const busy = cpuSeconds(child.pid);
  await sleep(ROUND_MS);
  const cpu = (cpuSeconds(child.pid) - busy) / (ROUND_MS / 1000);
  const { times, error } = (await live.ask({ take: true })) as {
    readonly times: number[];
    readonly error?: string;
  };
  await live.ask({ streaming: false });
  await sleep(CALM_MS);
  const { heap, external } = await memory(subnet);
  if (error !== undefined) throw new Error(`a live session ended: ${error}`);
  const engine = enginesOf(subnet)
    .flat()
    .reduce((sum, pid) => sum + residentBytes(pid), 0);
  return { times, cpu, heap, external, engine, resident: residentBytes(child.pid) };
}

/** @param second what the second half of the idle sessions, `more`, came on top of */
function report(
  idle: number,
  without: Round,
  beside: Round,
  second: { readonly more: number; readonly half: Memory; readonly whole: Memory },
): void {
  const kib = (pick: (round: Round) => number): number =>
    (pick(beside) - pick(without)) / idle / 1024;
  const p = ({ times }: Round, q: number): number => quantile(times, q);
  const both = (pick: (round: Round) => number, digits: number): string =>
    `${format(pick(without), digits)} without, ${format(pick(beside), digits)} beside them`;
  const used = kib((one) => one.heap + one.external);
  const { more, half, whole } = second;
  const grown = (pick: (one: Memory) => number): number => (pick(whole) - pick(half)) / more / 1024;
  const apiece = grown(({ heap, external }) => heap + external);
  const slower = p(beside, 0.99) / p(without, 0.99);
  print([
    {
      what: 'memory in use, main process, by the second half of them',
      value: `${format(apiece, 1)} KiB an idle session, ${format(
        grown(({ external }) => external),
        1,
      )} of them beside the heap`,
      target: { text: 'at most 8', met: apiece <= 8 },
    },
    {
      what: '… by all of them, with what grows once',
      value: `${format(used, 1)} KiB, ${format(
        kib((one) => one.external),
        1,
      )} of them beside the heap`,
    },
    {
      what: 'resident, main process',
      value: `${format(
        kib((one) => one.resident),
        1,
      )} KiB an idle session`,
    },
    {
      what: 'resident, engine',
      value: `${format(
        kib((one) => one.engine),
        1,
      )} KiB an idle session`,
    },
    { what: 'live: records', value: both(({ times }) => times.length, 0) },
    { what: 'live: p50, ms', value: both((one) => p(one, 0.5), 1) },
    {
      what: 'live: p99, ms',
      value: `${both((one) => p(one, 0.99), 1)}, ${format(slower, 2)} times`,
    },
    { what: 'cores in use, main process', value: both(({ cpu }) => cpu, 2) },
  ]);
}
