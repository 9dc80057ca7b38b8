import { readFileSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { REPOSITORY_ROOT } from '@cabstand/testing';
import { leaving } from '../faults/leaving';
import { caseFromJson } from './call';
import { fuzz } from './run';

const HELP = `Usage: npm run test:fuzz -- [--seed N] [--calls N] [--minutes N] [--at-once N]
                            [--replay FILE] [--story N] [--folder DIR]

Fuzzes a router and two hosters: valid turns of real models, and calls of every method with mistakes in
their fields or their bytes, broken off or left open. Exits with 0 if every call ended in time with a
status that says what is wrong, nobody else's turns were harmed, and nothing is left behind.

  --seed N       tells the same stories again (default: random, printed)
  --calls N      ends after so many calls (default 20000)
  --minutes N    or after so many minutes (default 10)
  --at-once N    stories at once (default 16)
  --replay FILE  makes the calls of this case again, and its story, and nothing else
  --story N      tells only the story of this number
  --folder DIR   where cases of what is found go (default: temporary folder)`;

const MAX_SEED = 1_000_000;
const CORPUS = path.join(REPOSITORY_ROOT, 'test/fuzz/corpus');

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string' },
      calls: { type: 'string', default: '20000' },
      minutes: { type: 'string', default: '10' },
      'at-once': { type: 'string', default: '16' },
      replay: { type: 'string' },
      story: { type: 'string' },
      folder: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const print = (text: string): void => void process.stdout.write(`${text}\n`);
  if (values.help) {
    print(HELP);
    return;
  }
  const files =
    values.replay === undefined
      ? readdirSync(CORPUS).map((name) => path.join(CORPUS, name))
      : [values.replay];
  const cases = files.map((file) => caseFromJson(readFileSync(file, 'utf8')));
  const [only] = values.replay === undefined ? [] : cases;
  const seed = only?.seed ?? Number(values.seed ?? Math.floor(Math.random() * MAX_SEED));
  const number = only?.story ?? Number(values.story ?? -1);
  const story = number < 0 ? undefined : number;
  print(`seed ${String(seed)} (again: npm run test:fuzz -- --seed ${String(seed)})`);
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => controller.abort());
  const found = await fuzz({
    ...{ seed, story, cases, print, signal: controller.signal, atOnce: Number(values['at-once']) },
    ...{ calls: only === undefined ? Number(values.calls) : 0, minutes: Number(values.minutes) },
    folder: values.folder ?? path.join(tmpdir(), `cabstand-fuzz-${String(seed)}`),
  });
  print(found === 0 ? 'PASSED' : 'FAILED');
  process.exitCode = found === 0 ? 0 : 1;
}

leaving(main());
