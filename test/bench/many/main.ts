/** How several hosters of one machine add up, where it has fewer cores than that needs. */
import { loadavg } from 'node:os';
import { Subnet, until } from '@cabstand/testing';
import { descendants, enginesOf } from '../../support/processes';
import { MODEL } from '../peers/clips';
import { span } from '../peers/figures';
import { LoadProcess } from '../peers/load-process';
import type { Loaded } from '../peers/load-process';
import { Scope } from '../peers/scope';
import { heading, print } from '../report';
import { format, quantile } from '../stats';
import { CpuQuota } from './quota';

/** Hosters at once. */
const COUNTS = [1, 2, 4, 8];
/** What of a core each of them has, with its engine. */
const CORES = 0.1;
const STREAMS = 16;

export interface ManyBench {
  readonly seconds: number;
  readonly trials: number;
}

/**
 * Each hoster stands for one that has so many times the cores: what all of them give together, over what one gives, is
 * what more cores would bring where only the hosters' own are short.
 */
export async function benchMany({ seconds, trials }: ManyBench): Promise<void> {
  heading(
    'Many cores',
    `hosters with ${String(CORES)} of a core each, ${String(STREAMS)} live streams of Silero VAD on each; ${String(trials)} trials in turns of ${String(seconds)} s; load average ${format(loadavg()[0] ?? NaN, 1)} before`,
  );
  const most = Math.max(...COUNTS);
  await using scope = new Scope();
  const kept = <T extends Disposable>(made: T): T => {
    scope.defer(() => made[Symbol.dispose]());
    return made;
  };
  const quotas = Array.from({ length: most }, (_, i) => kept(new CpuQuota(String(i), CORES)));
  const loads = quotas.map(() => kept(new LoadProcess()));
  const subnet = scope.use(await start(most));
  const load = (count: number): Promise<readonly Loaded[]> =>
    Promise.all(
      subnet.hosters.slice(0, count).map(({ address, child: { pid } }, i) => {
        const job = { address, dialect: 'cabstand', streams: STREAMS, window: 1 } as const;
        return loads[i]!.run({ ...job, seconds, expect: 'golden' }, [[pid]]);
      }),
    );
  // All code is compiled before quotas make that slow.
  await load(most);
  for (const [i, { child }] of subnet.hosters.entries())
    for (const pid of [child.pid, ...descendants(child.pid)]) quotas[i]!.add(pid);
  const seen = new Map<number, (readonly Loaded[])[]>(COUNTS.map((count) => [count, []]));
  for (let trial = 0; trial < trials; trial++)
    for (const count of trial % 2 === 0 ? COUNTS : [...COUNTS].reverse())
      seen.get(count)!.push(await load(count));
  report(seen);
}

async function start(hosters: number): Promise<Subnet> {
  const subnet = await Subnet.start({
    hosters,
    auth: 'none',
    hosterConfig: { only: [MODEL], engines: { spares: 0, audit_share: 0 } },
  });
  await until(
    'the engines',
    () => enginesOf(subnet).every((engines) => engines.length > 0) || undefined,
  );
  return subnet;
}

function report(seen: ReadonlyMap<number, readonly (readonly Loaded[])[]>): void {
  const rate = (all: readonly Loaded[]): number =>
    all.reduce((sum, { frames, seconds }) => sum + frames / seconds, 0);
  const used = (all: readonly Loaded[]): number =>
    all.reduce((sum, { cpu, seconds }) => sum + (cpu[0] ?? NaN) / seconds, 0);
  const ones = (seen.get(1) ?? []).map(rate);
  print(
    [...seen].map(([count, trials]) => {
      const rates = trials.map(rate);
      const times = span(
        rates.map((value, trial) => value / (ones[trial] ?? NaN)),
        2,
      );
      const cores = format(quantile(trials.map(used), 0.5));
      return {
        what: `${String(count)} ${count === 1 ? 'hoster' : 'hosters'}`,
        value: `${span(rates, 0)} frames a second, ${times} times one; ${cores} of a core`,
      };
    }),
  );
}
