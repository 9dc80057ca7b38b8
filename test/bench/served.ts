import path from 'node:path';
import { BUNDLED_MODELS, Subnet, TEST_MODELS, scrape, total } from '@cabstand/testing';
import { RawLoop, servedRound } from './processes';
import type { ServedFigures } from './processes';
import type { RawModel } from './raw-loop';
import { heading, print } from './report';
import { SILERO } from './silero';
import { quantile, show, spread } from './stats';

interface Case {
  readonly name: string;
  readonly model: string;
  readonly input: string;
  readonly raw: RawModel;
  readonly sessions: number;
  /** Records of a turn. */
  readonly turn: number;
  /** Least ratio asked for, if any. */
  readonly target?: number;
}

const busy = (model: string, width: number): Omit<Case, 'name' | 'sessions' | 'turn'> => ({
  model,
  input: 'signal',
  raw: {
    file: path.join(TEST_MODELS, model, '1/busy.onnx'),
    input: 'frame',
    frame: 16,
    carry: 0,
    state: { input: 'memory', output: 'memory_next', shape: [1, width], axis: 0 },
    output: 'level',
    constants: {},
  },
});

const silero: Omit<Case, 'name' | 'sessions' | 'turn'> = {
  model: 'silero-vad',
  input: 'audio',
  raw: SILERO,
};

const CASES: readonly Case[] = [
  {
    name: '1 session, 0.25 ms step',
    ...busy('busy-250us', 256),
    sessions: 1,
    turn: 4000,
    target: 0.7,
  },
  { name: '1 session, 5 ms step', ...busy('busy-5ms', 512), sessions: 1, turn: 4000, target: 0.95 },
  {
    name: '16 sessions, 5 ms step',
    ...busy('busy-5ms', 512),
    sessions: 16,
    turn: 4000,
    target: 0.8,
  },
  {
    name: '16 sessions, 0.25 ms step',
    ...busy('busy-250us', 256),
    sessions: 16,
    turn: 4000,
    target: 0.8,
  },
  { name: '1 session, Silero VAD', ...silero, sessions: 1, turn: 2000 },
  { name: '16 sessions, Silero VAD', ...silero, sessions: 16, turn: 2000, target: 0.8 },
];

export interface ServedOptions {
  readonly pairs: number;
  readonly seconds: number;
  /** Only cases whose name contains this. */
  readonly only: string;
}

/** Served records a second over the raw loop's, from interleaved pairs; and what a record costs. */
export async function benchServed({ pairs, seconds, only }: ServedOptions): Promise<void> {
  const cases = CASES.filter(({ name }) => name.includes(only));
  if (cases.length === 0) return;
  await using subnet = await startSubnet(cases);
  const [hoster] = subnet.hosters;
  if (hoster === undefined) throw new Error('no hoster');
  const raw = new RawLoop();
  for (const one of cases) {
    heading(
      one.name,
      `${String(pairs)} pairs of ${String(seconds)} s, signed requests, not durable, one record per position, ` +
        `1 intra-op thread, credit 256 records, turns of ${String(one.turn)} records`,
    );
    const ratios: number[] = [];
    const rawRates: number[] = [];
    const served: ServedFigures[] = [];
    const lags: number[] = [];
    for (let pair = 0; pair < pairs; pair++) {
      const { rate: rawRate } = await raw.round({ model: one.raw, batch: one.sessions, seconds });
      await takeLag(hoster.admin);
      const figures = await servedRound(
        {
          routers: subnet.routerAddresses,
          auth: subnet.authConfig('client'),
          model: one.model,
          input: one.input,
          frame: one.raw.frame,
          sessions: one.sessions,
          turn: one.turn,
          warmSeconds: 0.7,
          seconds,
        },
        hoster.child.pid,
      );
      lags.push(await takeLag(hoster.admin));
      rawRates.push(rawRate);
      served.push(figures);
      ratios.push(figures.records / figures.seconds / rawRate);
    }
    const ratio = spread(ratios);
    const rates = served.map(({ records, seconds: s }) => records / s);
    const perRecord = served.map((f) => (f.mainCpuSeconds / f.records) * 1e6);
    print([
      {
        what: 'served over raw',
        value: show(ratio),
        ...(one.target === undefined
          ? {}
          : {
              target: { text: `at least ${String(one.target)}`, met: ratio.median >= one.target },
            }),
      },
      { what: 'raw, rows a second', value: show(spread(rawRates), 0) },
      { what: 'served, records a second', value: show(spread(rates), 0) },
      { what: 'main process, µs of processor a record', value: show(spread(perRecord), 1) },
      {
        what: 'between records, ms, median',
        value: show(spread(served.map((f) => f.gapMedian)), 3),
      },
      { what: 'between records, ms, p99', value: show(spread(served.map((f) => f.gapP99)), 3) },
      {
        what: 'open to first record, ms, median of sessions',
        value: show(spread(served.map((f) => quantile(f.first, 0.5))), 1),
      },
      {
        what: 'event-loop lag of the main process, ms, p99',
        value: show(spread(lags)),
        target: { text: 'below 10', met: spread(lags).median < 10 },
      },
    ]);
  }
  raw.stop();
}

/** Milliseconds of lag (99th percentile) since the last call. */
async function takeLag(admin: string): Promise<number> {
  return total(await scrape(admin), 'cabstand_event_loop_lag_seconds') * 1000;
}

/** One hoster with just the models of the cases: nothing else loads or runs meanwhile. */
async function startSubnet(cases: readonly Case[]): Promise<Subnet> {
  const names = new Set(cases.map(({ model }) => model));
  return Subnet.start({
    hosters: 1,
    hosterConfig: { models: [TEST_MODELS, BUNDLED_MODELS], only: [...names] },
  });
}
