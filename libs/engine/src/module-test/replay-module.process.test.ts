import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { CabstandError } from '@cabstand/core';
import { Modules } from './module.fixture';
import { recordModule, replayModule } from './replay-module';
import type { Transcript } from './transcript';
import { readTranscript, writeTranscript } from './transcript';

// Processes are started one after another, and the machine may be busy.
jest.setTimeout(60_000);

const modules = new Modules();
afterAll(() => modules.remove());

let folder: string;
let transcript: Transcript;
const file = (): string => path.join(folder, '1', 'index.ts');
let code: string;

beforeAll(async () => {
  folder = modules.make('recorded', {
    round: `await ctx.emit(this.one(ctx.state.n + ctx.random()));
      await ctx.record('at', () => Date.now());`,
    commands: 'go: { handle: (ctx: any, { by }: any) => ctx.state.n + by }',
  });
  code = readFileSync(file(), 'utf8');
  const commands = [{ name: 'go', arguments: { by: 3 } }];
  transcript = await recordModule(folder, { seconds: 2, commands, seed: 11 });
});
afterEach(() => writeFileSync(file(), code));

/** The session against other code. */
async function against(from: string, to: string) {
  expect(code).toContain(from);
  writeFileSync(file(), code.replace(from, to));
  return await replayModule(readTranscript(writeTranscript(transcript)), folder, {});
}

test('a session is recorded with all that it was given, and the same code does the same', async () => {
  const { given, records, model } = transcript;
  expect([model, given.seed]).toEqual(['recorded', 11]);
  const kinds = new Set(records.map(({ kind }) => kind));
  expect([...kinds].sort()).toEqual(['command', 'frame', 'result', 'value']);
  expect(readTranscript(writeTranscript(transcript))).toEqual(transcript);
  const report = await against('local', 'local');
  expect(report).toMatchObject({ same: records.length, difference: undefined });
});

test.each<[string, string, string, RegExp, string | undefined]>([
  [
    'another frame',
    'ctx.state.n + ctx.random()',
    '(ctx.state.n > 5 ? -1 : ctx.state.n) + ctx.random()',
    /^output y float32 \[1\]: other elements$/,
    'index.ts:16',
  ],
  [
    'another result',
    'ctx.state.n + by',
    'ctx.state.n - by',
    /^result of command 0: .*the second$/,
    undefined,
  ],
  [
    'no value where there was one',
    "await ctx.record('at', () => Date.now());",
    '',
    /^recorded value at the first time, a frame the second$|took no value this time/,
    'index.ts:16',
  ],
  ['an earlier end', '< 12', '< 6', /it ended earlier/, undefined],
])('%s is found at its record, with the place', async (_, from, to, what, where) => {
  const { difference, same } = await against(from, to);
  expect(difference?.record).toBe(same);
  expect(difference?.what).toMatch(what);
  if (where !== undefined) expect(difference?.where).toMatch(new RegExp(`^${where}:\\d+$`));
});

test('the sixth frame is the first that differs, and nothing before it', async () => {
  const { difference } = await against(
    'ctx.state.n + ctx.random()',
    '(ctx.state.n > 5 ? -1 : ctx.state.n) + ctx.random()',
  );
  const frames = transcript.records.flatMap(({ kind }, index) => (kind === 'frame' ? [index] : []));
  expect(difference?.record).toBe(frames[5]);
  expect(difference?.call).toBe(transcript.records[frames[5] ?? 0]?.point);
});

test('what is no transcript is refused by its line', () => {
  const refusal = (text: string): string => {
    try {
      readTranscript(text);
      return 'nothing';
    } catch (error) {
      return CabstandError.from(error).message;
    }
  };
  const [header = '', ...lines] = writeTranscript(transcript).split('\n');
  expect(refusal('')).toMatch(/line 1: no JSON/);
  expect(refusal(`${header}\n{"kind":"frame","point":-1}`)).toMatch(/line 2: \w+/);
  expect(refusal(`${header}\n${lines[0]}\n{"kind":"other"}`)).toMatch(/line 3: kind/);
});

test('sessions that need not do the same twice are not recorded', async () => {
  const free = modules.make('free', { survival: 'commit' });
  await expect(recordModule(free, {})).rejects.toMatchObject({
    reason: 'INVALID_ARGUMENT',
    metadata: { field: 'survival' },
  });
});
