import { PassThrough } from 'node:stream';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
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
  const code = await runCli(args, { stdout, stderr, stdin: process.stdin, env: {}, signal });
  const text = (stream: PassThrough): string => ((stream.read() as Buffer | null) ?? '').toString();
  return { code, out: text(stdout), err: text(stderr) };
}

test('a new module passes its test as it is, by name and with each check told', async () => {
  const repository = path.join(folder.path, 'models');
  expect((await run('module', 'init', 'waves', '--folder', repository)).out).toContain(
    'module test',
  );
  const { code, out, err } = await run(
    ...['module', 'test', 'waves', '--models', repository, '--seconds', '2'],
  );
  expect({ code, err }).toEqual({ code: 0, err: '' });
  const checks = [...out.matchAll(/^ {2}(ok|open|FAIL) +(\w+)/gm)].map(([, sign, name]) => [
    sign,
    name,
  ]);
  expect(checks).toEqual(
    ['load', 'session', 'commands', 'state', 'stop', 'replay', 'leftovers'].map((name) => [
      'ok',
      name,
    ]),
  );
  expect(out).toMatch(/set_colour: applied and answered/);
});

test('what breaks ends with 1, and is told with file, line and remedy', async () => {
  await run('module', 'init', 'broken', '--folder', folder.path);
  const file = path.join(folder.path, 'broken', '1', 'index.ts');
  const code = readFileSync(file, 'utf8').replace("'uint8', pixels", "'float32', [...pixels]");
  writeFileSync(file, code);
  const line = code.split('\n').findIndex((text) => text.includes('ctx.emit(')) + 1;
  const text = await run('module', 'test', path.join(folder.path, 'broken'), '--seconds', '1');
  expect(text.code).toBe(1);
  expect(text.out).toMatch(
    new RegExp(`FAIL +session +after 0 records: index\\.ts:${line}:\\d+: emit: output image`),
  );
  expect(text.out).toMatch(/\n +Emit what model\.yaml declares/);
  const json = await run('module', 'test', path.dirname(path.dirname(file)), '--json');
  expect(json.code).toBe(1);
  expect(JSON.parse(json.out)).toMatchObject({ ok: false, name: 'broken', survival: 'replay' });
});

test('what is no module is refused as wrong usage', async () => {
  const bundled = path.join(__dirname, '../../../../models');
  const { code, err } = await run('module', 'test', 'g2p', '--models', bundled);
  expect(code).toBe(2);
  expect(err).toMatch(/g2p is a generator model, and no module\n {2}.*cabstand model check g2p/);
  mkdirSync(path.join(folder.path, 'empty'));
  expect(await run('module', 'test', path.join(folder.path, 'empty'))).toMatchObject({ code: 2 });
});
