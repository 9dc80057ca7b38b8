/** Tables of one case. */
import { heading } from '../report';
import { format, quantile } from '../stats';
import type { Loaded } from './load-process';
import type { Server } from './servers';

export interface Trial {
  /** Microseconds of processor time that ONNX Runtime alone takes for a row, by the rows of its run. */
  readonly ort: ReadonlyMap<number, number>;
  /** By the server's name; without those that failed. */
  readonly seen: Map<string, Loaded>;
}

const rate = ({ frames, seconds }: Loaded): number => frames / seconds;

/** Median, and least and most, of the trials. */
export function span(values: readonly number[], digits: number): string {
  const at = (q: number): string => format(quantile(values, q), digits);
  return values.length === 0 ? '-' : `${at(0.5)} (${at(0)} to ${at(1)})`;
}

/** Shares are of one core's time: those of servers of the core that they have together. */
const HEAD = [
  'server',
  'frames a second',
  'p99, ms',
  'p50, ms',
  'server, µs a frame',
  'server, of the core',
  'ORT, of it',
  'idle servers',
  'load',
] as const;

export function reportCase(
  streams: number,
  window: number,
  servers: readonly Server[],
  trials: readonly Trial[],
): void {
  const ort = [...(trials[0]?.ort.keys() ?? [])].map((batch) => {
    const micros = trials.map((trial) => trial.ort.get(batch) ?? NaN);
    return `${span(micros, 1)} µs a row in runs of ${String(batch)}`;
  });
  heading(
    `${String(streams)} stream${streams === 1 ? '' : 's'}, window ${String(window)}`,
    `ONNX Runtime alone: ${ort.join('; ')}`,
  );
  table([HEAD, ...servers.map((server) => row(server, streams, trials))]);
  const best = bestPeer(servers, trials, rate, Math.max);
  const fastest = bestPeer(servers, trials, ({ p99 }) => p99, Math.min);
  for (const { name, peer } of servers) {
    if (peer) continue;
    if (best !== undefined)
      console.log(
        `  ${name} over ${best}, frames a second: ${span(ratios(name, best, trials, rate), 2)}`,
      );
    if (fastest !== undefined)
      console.log(
        `  ${name} over ${fastest}, p99: ${span(
          ratios(name, fastest, trials, ({ p99 }) => p99),
          2,
        )}`,
      );
  }
}

function row({ name, rows }: Server, streams: number, trials: readonly Trial[]): string[] {
  const of = (value: (loaded: Loaded, trial: Trial) => number): number[] =>
    trials.flatMap((trial) => {
      const loaded = trial.seen.get(name);
      return loaded === undefined ? [] : [value(loaded, trial)];
    });
  const percent = (values: readonly number[]): string =>
    values.length === 0 ? '-' : `${format(100 * quantile(values, 0.5), 0)} %`;
  const batch = Math.min(rows, streams);
  return [
    name,
    span(of(rate), 0),
    span(
      of(({ p99 }) => p99),
      2,
    ),
    span(
      of(({ p50 }) => p50),
      2,
    ),
    span(
      of(({ cpu, frames }) => ((cpu[0] ?? NaN) * 1e6) / frames),
      1,
    ),
    percent(of(({ cpu, seconds }) => (cpu[0] ?? NaN) / seconds)),
    percent(of((loaded, { ort }) => ((ort.get(batch) ?? NaN) * rate(loaded)) / 1e6)),
    percent(of(({ cpu, seconds }) => (cpu[1] ?? NaN) / seconds)),
    percent(of(({ cpuSeconds, seconds }) => cpuSeconds / seconds)),
  ];
}

/** The peer with the best median, of those that were there in each trial. */
function bestPeer(
  servers: readonly Server[],
  trials: readonly Trial[],
  value: (loaded: Loaded) => number,
  better: (a: number, b: number) => number,
): string | undefined {
  let best: { readonly name: string; readonly median: number } | undefined;
  for (const { name, peer } of servers) {
    const all = trials.flatMap(({ seen }) => seen.get(name) ?? []).map(value);
    if (!peer || all.length < trials.length) continue;
    const median = quantile(all, 0.5);
    if (best === undefined || better(median, best.median) === median) best = { name, median };
  }
  return best?.name;
}

/** Trial by trial: both were measured within the same minute. */
function ratios(
  one: string,
  other: string,
  trials: readonly Trial[],
  value: (loaded: Loaded) => number,
): number[] {
  return trials.flatMap(({ seen }) => {
    const [a, b] = [seen.get(one), seen.get(other)];
    return a === undefined || b === undefined ? [] : [value(a) / value(b)];
  });
}

function table(rows: readonly (readonly string[])[]): void {
  const widths = HEAD.map((_, i) => Math.max(...rows.map((cells) => cells[i]?.length ?? 0)));
  for (const cells of rows)
    console.log(`  ${cells.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join('  ')}`.trimEnd());
}
