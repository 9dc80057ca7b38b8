import { parseArgs } from 'node:util';
import { leaving } from './leaving';
import { runSchedule } from './run';
import { WEIGHTS } from './schedule';
import type { FaultKind } from './schedule';

const HELP = `Usage: npm run test:faults -- [--faults N] [--seed N] [--streams N] [--only KIND,…]

Runs 32 streams of several kinds against 3 hosters and 2 routers, hurts these at random until N faults
have struck a running stream, and compares each stream with its undisturbed run. Exits with 0 if
nothing was lost, duplicated or wrong and every stream was finished.

  --faults N    faults that must strike a running stream (default 20)
  --seed N      draws the same faults, scripts and paces again (default: random, printed)
  --streams N   streams at once (default 32)
  --only KINDS  of ${Object.keys(WEIGHTS).join(', ')}`;

const print = (text: string): void => void process.stdout.write(`${text}\n`);

const MAX_SEED = 1_000_000;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      faults: { type: 'string', default: '20' },
      seed: { type: 'string' },
      streams: { type: 'string', default: '32' },
      only: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) {
    print(HELP);
    return;
  }
  const seed = Number(values.seed ?? Math.floor(Math.random() * MAX_SEED));
  print(`seed ${String(seed)} (again: npm run test:faults -- --seed ${String(seed)})`);
  const controller = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => controller.abort());
  const terminal = process.stdout.isTTY;
  let told = 0;
  const summary = await runSchedule({
    seed,
    faults: Number(values.faults),
    streams: Number(values.streams),
    signal: controller.signal,
    ...(values.only === undefined ? {} : { weights: weightsOf(values.only.split(',')) }),
    progress: (now) => {
      if (terminal) process.stdout.write(`\r\u001b[K${now.progress()}`);
      // A log file gets a line now and then.
      else if (told++ % 5 === 0) print(now.progress());
    },
  });
  if (terminal) process.stdout.write('\r\u001b[K');
  print(summary.print());
  process.exitCode = summary.passed ? 0 : 1;
}

function weightsOf(kinds: readonly string[]): Record<FaultKind, number> {
  const weights = Object.fromEntries(
    Object.entries(WEIGHTS).map(([kind, weight]) => [kind, kinds.includes(kind) ? weight : 0]),
  ) as Record<FaultKind, number>;
  if (Object.values(weights).every((weight) => weight === 0))
    throw new Error(`--only takes some of ${Object.keys(WEIGHTS).join(', ')}`);
  return weights;
}

leaving(main());
