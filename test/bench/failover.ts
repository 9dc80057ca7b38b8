import { sleep } from '@cabstand/core';
import { BUNDLED_MODELS, until } from '@cabstand/testing';
import type { TestNode } from '../faults/node';
import { Rig } from '../faults/rig';
import { format, quantile } from './stats';
import { MODEL, Microphone, differences, record } from './microphone';
import { heading, print } from './report';
import type { Row } from './report';

export interface FailoverOptions {
  /** Failures of each kind. */
  readonly trials: number;
  /** Streams at once. */
  readonly streams: number;
  /** Only kinds whose name contains this. */
  readonly only: string;
}

/** Time between two parts of the input of a stream, each good for one record. */
const PART_MS = 10;
/** Undisturbed time before each failure. */
const CALM_MS = 700;
/** What the library needs to find a peer that stands still: keepalive's silence and its wait. */
const DETECTION_MS = 3000;
/** A stream with a record this long ago flows. */
const FLOWING_MS = 200;
const RECOVERED_MS = 60_000;
/** Sessions that a hoster serves before it counts, so that none of its code runs for the first time. */
const WARM_UP = 20;
const TARGET_KILL_MS = 100;
const TARGET_DRAIN_MS = 5;
const TARGET_STOP = 1.2;

interface Kind {
  readonly name: string;
  /** Its effects show within this time. */
  readonly windowMs: number;
  /**
   * What counts: the longest time between two records in that window; the one across which the stream
   * moved; or all of them, where none is expected to stand out.
   */
  readonly view: 'longest' | 'moved' | 'all';
  readonly strike: (victim: TestNode, rig: Rig) => Promise<void>;
  /** Makes everything whole for the next one. */
  readonly mend: (victim: TestNode, rig: Rig) => Promise<void>;
  readonly target: (figures: Figures) => Row['target'];
}

interface Figures {
  /** p99 of the time between two records before failures, in milliseconds. */
  readonly ordinary: number;
  readonly p99: number;
  /** p99 of what is left of a gap without the replay. */
  readonly p99Taken: number;
}

/** The time between the records around a failure. */
interface Gap {
  readonly ms: number;
  /** Of it, what the new hoster took from taking the stream up to the first record. */
  readonly replayMs: number;
}

const atMost = (text: string, limit: number, p99: number): Row['target'] => ({
  text: `${text} (${format(limit, 0)} ms)`,
  met: p99 <= limit,
});

const KINDS: readonly Kind[] = [
  {
    name: 'SIGKILL of the engine',
    windowMs: 2000,
    view: 'longest',
    strike: async (victim) => {
      const pid = victim.engine(MODEL);
      if (pid === undefined) throw new Error('no engine to kill');
      process.kill(pid, 'SIGKILL');
    },
    mend: async (victim) => {
      await until('the engine to be back', () => victim.engine(MODEL));
    },
    target: () => undefined,
  },
  {
    name: 'SIGKILL of the hoster',
    windowMs: 2000,
    view: 'longest',
    strike: async (victim) => victim.kill('SIGKILL'),
    mend: (victim) => victim.mend(),
    target: ({ p99Taken }) => ({
      text: `p99 at most ${String(TARGET_KILL_MS)} ms and replay: without it ${format(p99Taken, 0)} ms`,
      met: p99Taken <= TARGET_KILL_MS,
    }),
  },
  {
    name: 'SIGSTOP of the hoster',
    windowMs: 5000,
    view: 'longest',
    strike: async (victim) => victim.kill('SIGSTOP'),
    mend: async (victim) => {
      // As a fresh process: what it missed is another matter.
      victim.kill('SIGKILL');
      await victim.mend();
    },
    target: ({ p99 }) => atMost('p99 at most 1.2 × detection', TARGET_STOP * DETECTION_MS, p99),
  },
  {
    name: 'drain of the hoster',
    windowMs: 3000,
    view: 'moved',
    strike: async (victim) => {
      // Mending waits for its end.
      const leave = async (): Promise<void> => {
        await victim.leave();
      };
      void victim.hurting(leave);
    },
    mend: (victim) => victim.mend(),
    target: ({ ordinary, p99 }) =>
      atMost('p99 at most an ordinary time and 5 ms', ordinary + TARGET_DRAIN_MS, p99),
  },
  {
    name: 'loss of all routers',
    windowMs: 1000,
    view: 'all',
    strike: async (_victim, { routers }) => routers.forEach((router) => router.kill('SIGKILL')),
    mend: (_victim, rig) => rig.mend(),
    target: ({ ordinary, p99 }) => atMost('p99 an ordinary time', ordinary + TARGET_DRAIN_MS, p99),
  },
];

/** What an application sees of failures: the time between the records before and after them. */
export async function benchFailover(options: FailoverOptions): Promise<void> {
  heading(
    'Failover',
    `${String(options.streams)} live streams of ${MODEL}, a record each ${String(PART_MS)} ms; 2 hosters, 2 routers; ${String(options.trials)} failures of each kind`,
  );
  await using rig = await Rig.start({
    proxied: false,
    hosterConfig: { models: BUNDLED_MODELS, only: [MODEL], limits: {} },
  });
  for (const kind of KINDS) {
    if (!kind.name.includes(options.only)) continue;
    print(await measure(kind, rig, options));
  }
}

async function measure(kind: Kind, rig: Rig, options: FailoverOptions): Promise<Row[]> {
  const microphones: Microphone[] = [];
  for (let i = 0; i < options.streams; i++)
    microphones.push(new Microphone(rig.sessions.session({ model: MODEL }), PART_MS));
  const gaps: Gap[] = [];
  const ordinary: number[] = [];
  let lost = 0;
  await warmUp(rig);
  for (let trial = 0; trial < options.trials; trial++) {
    for (const microphone of microphones) microphone.forget();
    await sleep(CALM_MS);
    for (const { times } of microphones) ordinary.push(...differences(times));
    const victim = fullest(rig, microphones);
    const struck = microphones.filter(({ node }) => node === victim.address);
    const at = performance.now();
    await kind.strike(victim, rig);
    for (const microphone of struck) {
      const found = await gapsOf(microphone, kind, at);
      if (found === undefined) lost++;
      else gaps.push(...found);
    }
    await kind.mend(victim, rig);
    await warmUp(rig);
  }
  for (const { error } of microphones) if (error !== undefined) console.log(' ', error);
  await Promise.all(microphones.map((microphone) => microphone.stop()));
  const figures = {
    ordinary: quantile(ordinary, 0.99),
    p99: quantile(gaps.map(whole), 0.99),
    p99Taken: quantile(
      gaps.map(({ ms, replayMs }) => ms - replayMs),
      0.99,
    ),
  };
  return [row(kind, gaps, lost, figures)];
}

/** Short sessions at each hoster. */
async function warmUp(rig: Rig): Promise<void> {
  await rig.known();
  for (const { address } of rig.hosters)
    for (let i = 0; i < WARM_UP; i++) {
      await using session = rig.sessions.session({ model: MODEL, allow: [address] });
      await record(session);
    }
}

const whole = ({ ms }: Gap): number => ms;

function row(kind: Kind, gaps: readonly Gap[], lost: number, figures: Figures): Row {
  const target = kind.target(figures);
  const text = (q: number): string => format(quantile(gaps.map(whole), q), 0).padStart(5);
  return {
    what: kind.name,
    value:
      `p50 ${text(0.5)} ms, p99 ${text(0.99)} ms, most ${text(1)} ms, n ${String(gaps.length).padStart(3)}, ` +
      `ordinary p99 ${format(figures.ordinary, 0)} ms${lost > 0 ? `, ${String(lost)} LOST` : ''}`,
    ...(target === undefined ? {} : { target }),
  };
}

/** What one failure did to one stream; undefined if it never went on. */
async function gapsOf(microphone: Microphone, kind: Kind, at: number): Promise<Gap[] | undefined> {
  try {
    await until(
      'the stream to go on',
      () => {
        const now = performance.now();
        const flows = now - (microphone.times.at(-1) ?? 0) < FLOWING_MS;
        if (microphone.error !== undefined) return true;
        return (now - at > kind.windowMs && flows) || undefined;
      },
      { timeoutMs: RECOVERED_MS },
    );
  } catch {
    return undefined;
  }
  if (microphone.error !== undefined) return undefined;
  const { times, moved, replayMs } = microphone;
  const first = Math.max(0, times.findIndex((time) => time > at) - 1);
  const intervals = differences(times.slice(first));
  if (kind.view === 'all') return intervals.map((ms) => ({ ms, replayMs: 0 }));
  const ms = kind.view === 'moved' && moved.length > 0 ? Math.max(...moved) : undefined;
  return [{ ms: ms ?? Math.max(...intervals), replayMs }];
}

/** The hoster with the most streams. */
function fullest(rig: Rig, microphones: readonly Microphone[]): TestNode {
  const count = ({ address }: TestNode): number =>
    microphones.filter(({ node }) => node === address).length;
  return [...rig.hosters].sort((a, b) => count(b) - count(a))[0]!;
}
