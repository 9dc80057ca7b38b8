import { parseArgs } from 'node:util';
import { runGatewaySchedule } from './gateways/run';
import { GROUPS, RIDE_KINDS } from './kinds';
import type { StreamKind } from './kinds';
import { leaving } from './leaving';
import { runSchedule } from './run';
import type { RunOptions } from './run';
import { WEIGHTS } from './schedule';
import type { FaultKind } from './schedule';
import { SCRIPT_KINDS } from './scripts';
import type { Summary } from './summary';

/** Those that any run may have. */
const FAULT_KINDS = Object.keys(WEIGHTS).filter((kind) => WEIGHTS[kind as FaultKind] > 0);

const HELP = `Usage: npm run test:faults -- [--faults N] [--seed N] [--streams N] [--kinds KIND,…]
                                  [--only KIND,…] [--through gateway|gateways]

Runs 32 streams of several kinds, of models and of modules, against 3 hosters and 2 routers, hurts these at random until N faults
have struck a running stream. Compares each stream of a model with its undisturbed run, answers of
language models also with those of transformers and with the form that they were asked for; looks whether
frames, messages and results of commands of a module's session are of one lineage. Exits with 0 if
nothing was lost, duplicated or wrong, every stream was finished, and all that was to happen has happened.

  --faults N    faults that must strike a running stream (default 20)
  --seed N      draws the same faults, scripts and paces again (default: random, printed)
  --streams N   streams at once (default 32)
  --kinds KINDS of ${[...SCRIPT_KINDS, ...RIDE_KINDS].join(', ')};
                models or modules for all of these (default both); language-models: greedy, drawn and
                guided answers of three models
  --only KINDS  of faults: ${FAULT_KINDS.join(', ')}
  --through gateway
                streams of models, asked of a gateway with plain stubs of gRPC
  --through gateways
                kills one of two gateways, and hosters now and then, under streams of plain stubs that resume by
                position and of server-sent events that resume by Last-Event-ID (default 16 streams)`;

const print = (text: string): void => void process.stdout.write(`${text}\n`);

const MAX_SEED = 1_000_000;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      faults: { type: 'string', default: '20' },
      seed: { type: 'string' },
      streams: { type: 'string' },
      kinds: { type: 'string' },
      only: { type: 'string' },
      through: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) {
    print(HELP);
    return;
  }
  const seed =
    values.seed === undefined ? Math.floor(Math.random() * MAX_SEED) : countOf('seed', values.seed);
  print(`seed ${String(seed)} (again: npm run test:faults -- --seed ${String(seed)})`);
  const { through } = values;
  if (through !== undefined && through !== 'gateway' && through !== 'gateways')
    throw new Error(`--through takes gateway or gateways, not ${through}`);
  const controller = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => controller.abort());
  const terminal = process.stdout.isTTY;
  let told = 0;
  const common = {
    seed,
    faults: countOf('faults', values.faults),
    ...(values.streams === undefined ? {} : { streams: countOf('streams', values.streams) }),
    signal: controller.signal,
    progress: (now: Summary) => {
      if (terminal) process.stdout.write(`\r\u001b[K${now.progress()}`);
      // A log file gets a line now and then.
      else if (told++ % 5 === 0) print(now.progress());
    },
  };
  const summary =
    through === 'gateways'
      ? await runGatewaySchedule(common)
      : await runSchedule({
          ...common,
          ...(through === undefined ? {} : { through }),
          ...(values.kinds === undefined ? {} : { kinds: kindsOf(values.kinds.split(',')) }),
          ...(values.only === undefined ? {} : { weights: weightsOf(values.only.split(',')) }),
        });
  if (terminal) process.stdout.write('\r\u001b[K');
  print(summary.print());
  process.exitCode = summary.passed ? 0 : 1;
}

function countOf(option: string, value: string): number {
  const count = Number(value);
  if (!Number.isInteger(count) || count < 1)
    throw new Error(`--${option} takes a whole number from 1, not ${value}`);
  return count;
}

function kindsOf(names: readonly string[]): NonNullable<RunOptions['kinds']> {
  const groups = new Map<string, readonly StreamKind[]>(Object.entries(GROUPS));
  const all = [...groups.values()].flat();
  const kinds = names.flatMap((name) => groups.get(name) ?? all.filter((kind) => kind === name));
  if (kinds.length < names.length)
    throw new Error(`--kinds takes some of ${[...groups.keys(), ...all].join(', ')}`);
  return kinds;
}

function weightsOf(kinds: readonly string[]): Record<FaultKind, number> {
  const weights = Object.fromEntries(
    Object.entries(WEIGHTS).map(([kind, weight]) => [kind, kinds.includes(kind) ? weight : 0]),
  ) as Record<FaultKind, number>;
  if (Object.values(weights).every((weight) => weight === 0))
    throw new Error(`--only takes some of ${FAULT_KINDS.join(', ')}`);
  return weights;
}

leaving(main());
