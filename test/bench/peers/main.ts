/** Cabstand beside what people would use instead: the same model, load and core, in turns. */
import { loadavg } from 'node:os';
import { heading, print } from '../report';
import type { Row } from '../report';
import { format } from '../stats';
import { RawLoop } from '../processes';
import { SILERO } from '../silero';
import { noCores, onServerCore, pin, whereServersRun } from '../cores';
import { LoadProcess } from './load-process';
import { reportCase } from './figures';
import type { Trial } from './figures';
import { Running } from './running';
import { Scope } from './scope';
import { CABSTAND_ROWS, PEER_ROWS, cabstandLimits, groups } from './servers';
import type { Server } from './servers';

export interface PeersBench {
  readonly streams: readonly number[];
  /** Frames of a stream on their way. */
  readonly windows: readonly number[];
  /** Of the measured part of a trial. */
  readonly seconds: number;
  readonly trials: number;
  /** Only servers whose name contains this; Cabstand is always there. */
  readonly only: string;
}

/** Of the raw loop, in seconds. */
const RAW_SECONDS = 1;
const WARM_SECONDS = 1;

export async function benchPeers(options: PeersBench): Promise<void> {
  const { streams, windows, trials, seconds } = options;
  const reason = noCores();
  if (reason !== undefined) throw new Error(`peers: ${reason}`);
  const most = Math.max(...streams);
  heading(
    'Cabstand and its peers',
    `all servers on ${whereServersRun()}; ${String(trials)} trials in turns of ${String(seconds)} s; ` +
      `load average ${format(loadavg()[0] ?? NaN, 1)} before`,
  );
  await using scope = new Scope();
  pin(process.pid, 'others');
  using load = new LoadProcess();
  const all = await startAll(scope, most, options.only);
  const raw = await onServerCore(async () => new RawLoop());
  scope.defer(() => raw.stop());
  print(setting(most));
  // Once for nothing: code of servers and load is compiled by now, and memory of their streams is there.
  const first = { streams: most, window: Math.max(...windows), seconds: WARM_SECONDS, turn: 0 };
  await trial({ load, raw, left: byName(all), ...first });
  for (const window of windows)
    for (const count of streams) {
      for (const running of all) await running.revive();
      const left = byName(all);
      const servers = [...left.values()];
      const seen: Trial[] = [];
      for (let n = 0; n < trials; n++)
        seen.push(await trial({ load, raw, left, streams: count, window, seconds, turn: n }));
      reportCase(count, window, servers, seen);
    }
}

function byName(all: readonly Running[]): Map<string, Server> {
  const servers = all.flatMap((running) => running.servers);
  return new Map(servers.map((server) => [server.name, server]));
}

async function startAll(scope: Scope, most: number, only: string): Promise<Running[]> {
  const all: Running[] = [];
  for (const group of groups(most)) {
    const wanted = group.names.filter((name) => name.startsWith('Cabstand') || name.includes(only));
    if (wanted.length === 0) continue;
    const running = scope.use(new Running(group, wanted));
    await running.start();
    all.push(running);
  }
  return all;
}

interface TrialSetting {
  readonly load: LoadProcess;
  readonly raw: RawLoop;
  /** Servers that have answered rightly so far. */
  readonly left: Map<string, Server>;
  readonly streams: number;
  readonly window: number;
  readonly seconds: number;
  /** Each trial begins with another server. */
  readonly turn: number;
}

async function trial(setting: TrialSetting): Promise<Trial> {
  const { load, raw, left, streams, window, seconds } = setting;
  const sizes = new Set([...left.values()].map(({ rows }) => Math.min(rows, streams)));
  const ort = new Map<number, number>();
  for (const batch of sizes) {
    const { cpuMicros } = await raw.round({ model: SILERO, batch, seconds: RAW_SECONDS });
    ort.set(batch, cpuMicros);
  }
  const servers = [...left.values()];
  const seen: Trial['seen'] = new Map();
  for (let i = 0; i < servers.length; i++) {
    const server = servers[(i + setting.turn) % servers.length] as Server;
    const others = servers.filter(({ pids }) => pids[0] !== server.pids[0]);
    const { address, dialect } = server;
    const job = { address, dialect, streams, window, seconds, expect: 'golden' } as const;
    try {
      const loaded = await load.run(job, [server.pids, others.flatMap(({ pids }) => pids)]);
      seen.set(server.name, loaded);
    } catch (error) {
      left.delete(server.name);
      process.exitCode = 1;
      const why = error instanceof Error ? error.message : String(error);
      const last = server.ended();
      console.log(
        `  LEFT OUT: ${server.name} with ${String(streams)} streams, window ${String(window)}: ${why}` +
          (last === undefined ? '' : `; it has ended:\n${last}`),
      );
    }
  }
  return { ort, seen };
}

function setting(most: number): Row[] {
  const limits = Object.entries(cabstandLimits(most))
    .map(([name, value]) => `limits.${name} ${String(value)}`)
    .join(', ');
  return [
    { what: 'Cabstand', value: `defaults, but ${limits}, and no authentication, as its peers` },
    { what: 'answers', value: 'the first 24 of each stream are compared with the golden ones' },
    {
      what: 'batches',
      value: `at most ${String(CABSTAND_ROWS)} rows in Cabstand (max_batch of manifests), ${String(PEER_ROWS)} in peers that batch`,
    },
  ];
}
