/** What a subnet's hosters and this process hold: the same before and after, where nothing is left behind. */
import path from 'node:path';
import { sleep } from '@cabstand/core';
import { REPOSITORY_ROOT, scrape, total, until } from '@cabstand/testing';
import { residentBytes } from '../support/processes';
import { SESSION_GAUGES } from '../support/session-gauges';

const SHARE = 0.05;
const MIB = 1024 * 1024;
/** The first of these are as good as the last where nothing is left behind. */
const LOOKS = 6;
const LOOK_MS = 500;
const GONE_MS = 30_000;
const UUID = /[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/;

/** A process with its metrics. */
export interface Watched {
  readonly admin: string;
  readonly pid: number;
}

/** For this process and those that inherit its environment: garbage is collected when their memory is looked at. */
export async function collecting(): Promise<void> {
  const collector = path.join(REPOSITORY_ROOT, 'test/support/collect-on-signal.cjs');
  process.env['NODE_OPTIONS'] = `--require ${collector}`;
  await import(collector);
}

export interface Footprint {
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

async function footprint(hosters: readonly Watched[]): Promise<Footprint> {
  for (const { pid } of hosters) process.kill(pid, 'SIGUSR2');
  process.emit('SIGUSR2');
  const left = new Map<string, number>();
  const heaps: number[] = [];
  let series = 0;
  let ownSeries = 0;
  for (const { admin } of hosters) {
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
    resident: hosters.map(({ pid }) => residentBytes(pid)),
    own: process.memoryUsage().heapUsed,
    timers: process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length,
  };
}

/** Waits until no session is open any more, and the collector has been through. */
export async function settled(hosters: readonly Watched[]): Promise<Footprint> {
  await until(
    'every session to be gone',
    async () => {
      const { left } = await footprint(hosters);
      return [...left.values()].every((value) => value === 0) || undefined;
    },
    { timeoutMs: GONE_MS },
  ).catch(() => undefined);
  // Sockets and timers take a moment to go.
  let best = await footprint(hosters);
  for (let look = 1; look < LOOKS; look++) {
    await sleep(LOOK_MS);
    const next = await footprint(hosters);
    best = {
      ...next,
      heaps: next.heaps.map((heap, i) => Math.min(heap, best.heaps[i] ?? heap)),
      own: Math.min(next.own, best.own),
    };
  }
  return best;
}

export function compare(before: Footprint, after: Footprint): string[] {
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

/** A line for each number. */
export function told(before: Footprint, after: Footprint): string[] {
  const show = (bytes: readonly number[]): string =>
    bytes.map((one) => (one / MIB).toFixed(1)).join(', ');
  return [
    `hosters' heaps MiB: ${show(before.heaps)} before, ${show(after.heaps)} after`,
    `hosters' resident MiB: ${show(before.resident)} before, ${show(after.resident)} after`,
    `client's heap MiB: ${show([before.own])} before, ${show([after.own])} after`,
    `metric series: ${String(before.series)} before, ${String(after.series)} after`,
  ];
}
