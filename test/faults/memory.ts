/**
 * Opens sessions, breaks them in every way that leaves their hoster's memory, ends them, and looks at
 * what is left: nothing may be. `npm run test:memory -- [--sessions N] [--seed N] [--only BREAK]`.
 */
import path from 'node:path';
import { parseArgs } from 'node:util';
import type { Session } from '@cabstand/client';
import { sleep } from '@cabstand/core';
import { REPOSITORY_ROOT, scrape, total, until } from '@cabstand/testing';
import { drain } from '../support/drain';
import { residentBytes } from '../support/processes';
import { SESSION_GAUGES } from '../support/session-gauges';
import { Random } from './random';
import { leaving } from './leaving';
import { Rig } from './rig';
import { makeScript } from './scripts';
import type { Script } from './scripts';
import { Stream } from './stream';

const AT_ONCE = 20;
/** Sessions of the first round: everything that is made once, compiled code too, has been made after it. */
const WARM = 400;
const SHARE = 0.05;
const MIB = 1024 * 1024;
/** The first of these are as good as the last where nothing is left behind. */
const LOOKS = 6;
const LOOK_MS = 500;
const TOLD_MS = 10_000;
const UUID = /[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/;

const print = (text: string): void => void process.stdout.write(`${text}\n`);

interface Footprint {
  readonly left: ReadonlyMap<string, number>;
  readonly series: number;
  /** Series that tell of a single session. */
  readonly ownSeries: number;
  /** Heap of each hoster, in use. */
  readonly heaps: readonly number[];
  readonly resident: readonly number[];
  readonly own: number;
  readonly timers: number;
}

async function footprint(rig: Rig): Promise<Footprint> {
  for (const { pid } of rig.hosters) process.kill(pid, 'SIGUSR2');
  process.emit('SIGUSR2');
  const left = new Map<string, number>();
  const heaps: number[] = [];
  let series = 0;
  let ownSeries = 0;
  for (const { admin } of rig.hosters) {
    const page = await scrape(admin);
    series += page.size;
    ownSeries += [...page.keys()].filter((key) => UUID.test(key)).length;
    heaps.push(total(page, 'nodejs_heap_size_used_bytes'));
    for (const name of SESSION_GAUGES) left.set(name, (left.get(name) ?? 0) + total(page, name));
  }
  return {
    left,
    series,
    ownSeries,
    heaps,
    resident: rig.hosters.map(({ pid }) => residentBytes(pid)),
    own: process.memoryUsage().heapUsed,
    timers: process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length,
  };
}

type Break = 'none' | 'reset' | 'abandon' | 'kill-engine' | 'live-abandon' | 'hole' | 'export';
const BREAKS: readonly Break[] = [
  ...(['none', 'none', 'none', 'reset', 'abandon', 'live-abandon'] as const),
  ...(['kill-engine', 'hole', 'export'] as const),
];
/** These hit everybody: seldom is enough. */
const FAR_REACHING: ReadonlySet<Break> = new Set<Break>(['kill-engine', 'hole']);
/** Sessions that nobody comes back for end soon, so that it need not be waited for long. */
const LIMITS = { orphan_timeout_seconds: 5, idle_timeout_seconds: 10, journal_records: 48 };
const GONE_MS = 30_000;
/** Longer than keepalive's patience. */
const HOLE_MS = 4000;

/** Opens, breaks and ends so many sessions. */
async function round(
  rig: Rig,
  count: number,
  random: Random,
  breaks: readonly Break[],
): Promise<void> {
  let left = count;
  const ticker = setInterval(
    () => print(`${String(Math.max(0, left))} of ${String(count)} sessions to go`),
    TOLD_MS,
  );
  const work = async (): Promise<void> => {
    while (left-- > 0) {
      const how = random.pick(breaks);
      const rare = FAR_REACHING.has(how) && random.next() > 0.05;
      await one(rig, rare ? 'none' : how, random.int(0, 5));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  clearInterval(ticker);
}

async function one(rig: Rig, how: Break, number: number): Promise<void> {
  const script: Script = makeScript(
    how === 'live-abandon' ? 'accumulator-live' : 'accumulator',
    number,
  );
  const gone = new AbortController();
  const stream = new Stream(
    { ...script, turns: script.turns.slice(0, 2) },
    {
      signal: gone.signal,
      at: async ({ turn, chunks, session }) => {
        if (turn === 1 && chunks === 5) await strike(rig, how, session, gone);
      },
    },
  );
  await stream.run(rig.sessions);
}

async function strike(
  rig: Rig,
  how: Break,
  session: Session,
  gone: AbortController,
): Promise<void> {
  const hoster = rig.hosterOf(session);
  switch (how) {
    case 'none':
      return;
    case 'reset':
      hoster.proxy?.reset();
      return;
    case 'abandon':
    case 'live-abandon':
      gone.abort();
      return;
    case 'kill-engine': {
      const pid = hoster.engine(session.model);
      if (pid !== undefined) process.kill(pid, 'SIGKILL');
      return;
    }
    case 'hole': {
      const hole = hoster.proxy?.inject({ kind: 'black-hole' }, { direction: 'both' });
      setTimeout(() => hole?.heal(), HOLE_MS);
      return;
    }
    case 'export': {
      const other = await rig.sessions.import(session.export());
      if (other.turnPending) await drain(other.continueTurn());
      await other.close();
    }
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      sessions: { type: 'string', default: '2000' },
      seed: { type: 'string', default: '1' },
      only: { type: 'string' },
    },
  });
  const random = new Random(Number(values.seed));
  const breaks = BREAKS.filter((one) => values.only === undefined || one === values.only);
  const collector = path.join(REPOSITORY_ROOT, 'test/support/collect-on-signal.cjs');
  // For the hosters, which inherit it, and for this process.
  process.env['NODE_OPTIONS'] = `--require ${collector}`;
  await import(collector);
  await using rig = await Rig.start({ hosterConfig: { limits: LIMITS } });
  await round(rig, WARM, random, breaks);
  const before = await settled(rig);
  await round(rig, Number(values.sessions), random, breaks);
  const after = await settled(rig);
  const problems = compare(before, after);
  print(`${values.sessions} sessions opened, broken and ended, seed ${values.seed}`);
  const show = (bytes: readonly number[]): string =>
    bytes.map((one) => (one / MIB).toFixed(1)).join(', ');
  print(`hosters' heaps MiB: ${show(before.heaps)} before, ${show(after.heaps)} after`);
  print(`hosters' resident MiB: ${show(before.resident)} before, ${show(after.resident)} after`);
  print(`client's heap MiB: ${show([before.own])} before, ${show([after.own])} after`);
  print(`metric series: ${String(before.series)} before, ${String(after.series)} after`);
  for (const problem of problems) print(`LEFT BEHIND: ${problem}`);
  print(problems.length === 0 ? 'PASSED' : 'FAILED');
  process.exitCode = problems.length === 0 ? 0 : 1;
}

/** Waits until no session is open any more, and the collector has been through. */
async function settled(rig: Rig): Promise<Footprint> {
  await until(
    'every session to be gone',
    async () => {
      const { left } = await footprint(rig);
      return [...left.values()].every((value) => value === 0) || undefined;
    },
    { timeoutMs: GONE_MS },
  ).catch(() => undefined);
  // Sockets and timers take a moment to go.
  let best = await footprint(rig);
  for (let look = 1; look < LOOKS; look++) {
    await sleep(LOOK_MS);
    const next = await footprint(rig);
    best = {
      ...next,
      heaps: next.heaps.map((heap, i) => Math.min(heap, best.heaps[i] ?? heap)),
      own: Math.min(next.own, best.own),
    };
  }
  return best;
}

function compare(before: Footprint, after: Footprint): string[] {
  const problems: string[] = [];
  for (const [name, value] of after.left)
    if (value !== 0) problems.push(`${name} is ${String(value)}`);
  // Others come with the first failure of their kind, and are as many as there are kinds.
  if (after.ownSeries > 0) problems.push(`${String(after.ownSeries)} metric series of sessions`);
  if (after.timers > before.timers + 2)
    problems.push(`${String(after.timers - before.timers)} timers of the client`);
  const grown = (what: string, a: number, b: number): void => {
    if (b > a * (1 + SHARE))
      problems.push(`${what}: ${(a / MIB).toFixed(1)} MiB before, ${(b / MIB).toFixed(1)} after`);
  };
  for (const [i, heap] of after.heaps.entries())
    grown(`heap of hoster ${String(i)}`, before.heaps[i] ?? heap, heap);
  grown('heap of the client', before.own, after.own);
  return problems;
}

leaving(main());
