/** What a frame costs the main process alone, beside the least that gRPC costs. */
import path from 'node:path';
import { loadavg } from 'node:os';
import { Subnet, freePorts, until } from '@cabstand/testing';
import { enginesOf } from '../../support/processes';
import { MODEL } from '../peers/clips';
import { noCores, onServerCore, pin, whereServersRun } from '../cores';
import { LoadProcess } from '../peers/load-process';
import type { Loaded } from '../peers/load-process';
import type { Dialect } from '../peers/messages';
import { Scope } from '../peers/scope';
import { ServerProcess } from '../peers/server-process';
import { cabstandLimits, listening } from '../peers/servers';
import { span } from '../peers/figures';
import { heading, print } from '../report';
import { format } from '../stats';

export interface FrameBench {
  readonly streams: readonly number[];
  readonly windows: readonly number[];
  /** Of the measured part of a trial. */
  readonly seconds: number;
  readonly trials: number;
}

interface Side {
  readonly name: string;
  readonly address: string;
  readonly dialect: Dialect;
  /** The process whose time counts. */
  readonly pid: number;
}

const SIDES = ['bare echo', 'Main', 'Main, durable'] as const;

export async function benchFrame({ streams, windows, seconds, trials }: FrameBench): Promise<void> {
  const reason = noCores();
  if (reason !== undefined) throw new Error(`frame: ${reason}`);
  heading(
    'A frame in the main process',
    `engine without ONNX Runtime, beside the load; the process that counts on ${whereServersRun()}; ${String(trials)} ` +
      `trials in turns of ${String(seconds)} s; load average ${format(loadavg()[0] ?? NaN, 1)} before`,
  );
  await using scope = new Scope();
  pin(process.pid, 'others');
  using load = new LoadProcess();
  const sides = await start(scope, Math.max(...streams));
  for (const window of windows)
    for (const count of streams) {
      const seen = new Map<string, Loaded[]>(sides.map(({ name }) => [name, []]));
      // The first one for nothing: code is compiled in it.
      for (let trial = 0; trial <= trials; trial++)
        for (let i = 0; i < sides.length; i++) {
          const { name, address, dialect, pid } = sides[(i + trial) % sides.length] as Side;
          const job = {
            address,
            dialect,
            streams: count,
            window,
            seconds,
            expect: 'zero',
          } as const;
          const loaded = await load.run(job, [[pid]], false);
          if (trial > 0) seen.get(name)?.push(loaded);
        }
      report(count, window, seen);
    }
}

async function start(scope: Scope, most: number): Promise<readonly Side[]> {
  process.env['NODE_OPTIONS'] = `--require ${path.join(__dirname, 'no-ort.js')}`;
  const subnet = scope.use(
    await Subnet.start({
      hosters: 1,
      auth: 'none',
      hosterConfig: {
        only: [MODEL],
        limits: cabstandLimits(most),
        // Audits compute again what was left out, and a spare would start on the wrong core.
        engines: { audit_share: 0, spares: 0 },
      },
    }),
  );
  delete process.env['NODE_OPTIONS'];
  const [hoster] = subnet.hosters;
  const engine = await until('the engine', () => enginesOf(subnet)[0]?.[0]);
  if (hoster === undefined) throw new Error('no hoster');
  pin(hoster.child.pid, 'servers');
  process.kill(engine, 'SIGUSR2');
  const [port = 0] = await freePorts(1);
  const args = [path.join(__dirname, 'echo.js'), String(port)];
  const echo = await onServerCore(async () => scope.use(new ServerProcess(process.execPath, args)));
  await listening('the echo', echo, port);
  const { address } = hoster;
  const { pid } = hoster.child;
  return [
    { name: SIDES[0], address: `127.0.0.1:${String(port)}`, dialect: 'cabstand', pid: echo.pid },
    { name: SIDES[1], address, dialect: 'cabstand', pid },
    { name: SIDES[2], address, dialect: 'cabstand-durable', pid },
  ];
}

function report(
  streams: number,
  window: number,
  seen: ReadonlyMap<string, readonly Loaded[]>,
): void {
  const micros = (name: string): number[] =>
    (seen.get(name) ?? []).map(({ cpu, frames }) => ((cpu[0] ?? NaN) * 1e6) / frames);
  const over = (one: string, other: string): string => {
    const below = micros(other);
    return span(
      micros(one).map((value, trial) => value / (below[trial] ?? NaN)),
      2,
    );
  };
  heading(`${String(streams)} streams, window ${String(window)}`);
  print([
    ...SIDES.map((name) => {
      const all = seen.get(name) ?? [];
      const rates = all.map(({ frames, seconds }) => frames / seconds);
      const messages = all.map((loaded) => loaded.messages);
      const figures = `${span(rates, 0)} frames a second, ${format(messages[0] ?? NaN)} messages a frame`;
      return { what: name, value: `${span(micros(name), 1)} µs of processor a frame; ${figures}` };
    }),
    { what: 'Main over bare echo', value: over(SIDES[1], SIDES[0]) },
    { what: 'durable over not durable', value: over(SIDES[2], SIDES[1]) },
  ]);
}
