import { PassThrough } from 'node:stream';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Folder } from '../folder.fixture';
import { runCli } from '../program';

// Processes are started one after another, and the machine may be busy.
jest.setTimeout(60_000);

const folder = new Folder();
afterAll(() => folder.remove());

async function run(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  const { signal } = new AbortController();
  const code = await runCli(['module', ...args], {
    ...{ stdout, stderr, stdin: process.stdin, env: {}, signal },
  });
  const text = (stream: PassThrough): string => ((stream.read() as Buffer | null) ?? '').toString();
  return { code, out: text(stdout), err: text(stderr) };
}

test('a session is recorded, and run again by the code as it is after a change', async () => {
  const models = ['--models', folder.path];
  const file = path.join(folder.path, 'waves.jsonl');
  await run('init', 'waves', '--folder', folder.path);
  const command = ['--command', 'set_colour colour=fire', '--records', '12'];
  const recorded = await run('record', 'waves', file, ...command, ...models);
  expect(recorded).toEqual({ code: 0, err: '', out: `12 records are in ${file}\n` });
  expect(readFileSync(file, 'utf8')).toContain('"name":"set_colour"');
  const same = await run('replay', file, ...models);
  expect([same.code, same.out]).toEqual([
    ...[0, 'waves v1, against a session of the same code\nall 12 records are the same\n'],
  ]);
  const source = path.join(folder.path, 'waves', '1', 'index.ts');
  const code = readFileSync(source, 'utf8');
  const line = code.split('\n').findIndex((text) => text.includes('ctx.emit(')) + 1;
  writeFileSync(source, code.replace('pixels, [', 'pixels.fill(7), ['));
  const other = await run('replay', file, ...models);
  expect(other.code).toBe(1);
  expect(other.out).toMatch(
    new RegExp(
      `record 0 of 12 is another one.*\n {2}index\\.ts:${line}:\\d+: output image .*other`,
    ),
  );
});

test('what is no recording, or is not there, is refused', async () => {
  expect(await run('replay', path.join(folder.path, 'none'))).toMatchObject({ code: 2 });
  const file = path.join(folder.path, 'text');
  writeFileSync(file, 'a text\n');
  const { code, err } = await run('replay', file);
  expect([code, err]).toEqual([3, expect.stringContaining('line 1: no JSON')]);
});
