/**
 * Opens sessions, breaks them in every way, ends them, and looks at what is left: nothing may be. Run
 * after a build: `node --expose-gc test/dist/faults/memory.js [--sessions N] [--only BREAK]`.
 */
import { parseArgs } from 'node:util';
import { scrape, total, until } from '@cabstand/testing';
import { residentBytes } from '../support/processes';
import { Random } from './random';
import { Rig } from './rig';
import { makeScript } from './scripts';
import type { Script } from './scripts';
import { Stream } from './stream';

const AT_ONCE = 20;
/** Sessions of the first round: everything that is made once has been made after it. */
const WARM = 40;
const SHARE = 0.05;
const MIB = 1024 * 1024;
/** Hosters' memory moves by itself by this much. */
const SLACK_BYTES = 8 * MIB;

const print = (text: string): void => void process.stdout.write(`${text}\n`);

/** Gauges that count sessions, or what is kept for them. */
const LEFT = [
  'cabstand_open_sessions',
  'cabstand_sessions',
  'cabstand_journal_records',
  'cabstand_journal_bytes',
  'cabstand_credit_records',
  'cabstand_queue_depth',
  'cabstand_engine_sequences',
  'cabstand_engine_state_bytes',
] as const;

interface Footprint {
  readonly left: ReadonlyMap<string, number>;
  readonly series: number;
  /** Heap of each hoster, in use. */
  readonly heaps: readonly number[];
  readonly resident: readonly number[];
  readonly own: number;
  readonly timers: number;
}

async function footprint(rig: Rig): Promise<Footprint> {
  const left = new Map<string, number>();
  const heaps: number[] = [];
  let series = 0;
  for (const { admin } of rig.hosters) {
    const page = await scrape(admin);
    series += page.size;
    heaps.push(total(page, 'nodejs_heap_size_used_bytes'));
    for (const name of LEFT) left.set(name, (left.get(name) ?? 0) + total(page, name));
  }
  globalThis.gc?.();
  return {
    left,
    series,
    heaps,
    resident: rig.hosters.map(({ pid }) => residentBytes(pid)),
    own: process.memoryUsage().heapUsed,
    timers: process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length,
  };
}

type Break = 'none' | 'reset' | 'abandon' | 'kill-engine' | 'live-abandon';
const BREAKS: readonly Break[] = [
  'none',
  'none',
  'reset',
  'abandon',
  'live-abandon',
  'kill-engine',
];

/** Opens, breaks and ends so many sessions. */
async function round(
  rig: Rig,
  count: number,
  random: Random,
  breaks: readonly Break[],
): Promise<void> {
  let left = count;
  const work = async (): Promise<void> => {
    while (left-- > 0) {
      const how = random.pick(breaks);
      // An engine's death breaks all sessions of its model: seldom is enough.
      const rare = how === 'kill-engine' && random.next() > 0.1;
      await one(rig, rare ? 'none' : how, random.int(0, 5));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
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
      at: ({ turn, chunks, session }) => {
        if (turn !== 1 || chunks !== 5) return;
        const hoster = rig.hosterOf(session);
        if (how === 'reset') hoster.proxy?.reset();
        else if (how === 'abandon' || how === 'live-abandon') gone.abort();
        else if (how === 'kill-engine') {
          const pid = hoster.engine(script.model);
          if (pid !== undefined) process.kill(pid, 'SIGKILL');
        }
      },
    },
  );
  await stream.run(rig.sessions);
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
  await using rig = await Rig.start();
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
    { timeoutMs: 15_000 },
  ).catch(() => undefined);
  // The smallest of several: collectors run when they like.
  let best = await footprint(rig);
  for (let i = 0; i < 20; i++) {
    await new Promise((resolve) => setTimeout(resolve, 500));
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
  if (after.series > before.series)
    problems.push(`${String(after.series - before.series)} metric series`);
  if (after.timers > before.timers + 2)
    problems.push(`${String(after.timers - before.timers)} timers of the client`);
  const grown = (what: string, a: number, b: number): void => {
    if (b > a * (1 + SHARE) && b - a > SLACK_BYTES)
      problems.push(`${what}: ${(a / MIB).toFixed(1)} MiB before, ${(b / MIB).toFixed(1)} after`);
  };
  for (const [i, heap] of after.heaps.entries())
    grown(`heap of hoster ${String(i)}`, before.heaps[i] ?? heap, heap);
  grown('heap of the client', before.own, after.own);
  return problems;
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? (error.stack ?? '') : String(error)}\n`);
  process.exitCode = 1;
});
