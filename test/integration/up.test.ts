import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { transformSync } from '@swc/core';
import { Child, REPOSITORY_ROOT, freePortRange, until } from '@cabstand/testing';
import { descendants, isAlive } from '../support/processes';

const run = promisify(execFile);
const CLI = path.join(REPOSITORY_ROOT, 'libs/cli/dist/main.js');
const readme = readFileSync(path.join(REPOSITORY_ROOT, 'README.md'), 'utf8');

let data: string;
let router: string;
let up: Child;

beforeAll(async () => {
  data = mkdtempSync(path.join(tmpdir(), 'cabstand-up-'));
  // A router, two hosters and a gateway, and the same for metrics.
  const port = await freePortRange(4);
  const admin = await freePortRange(4);
  router = `127.0.0.1:${String(port)}`;
  up = new Child('up', [
    ...[CLI, 'up', '--demo', '--data', data],
    ...['--port', String(port), '--admin-port', String(admin)],
  ]);
  await until('the subnet', () => up.output.includes('Ctrl-C drains') || undefined, {
    timeoutMs: 90_000,
    explain: () => up.output,
  });
}, 100_000);

afterAll(async () => {
  await up.stop();
  rmSync(data, { recursive: true, force: true });
});

const keys = (): string => path.join(data, 'keys');

async function cabstand(...args: string[]): Promise<string> {
  const env = { ...process.env, CABSTAND_ROUTERS: router, CABSTAND_CREDENTIALS: keys() };
  const { stdout } = await run(process.execPath, [CLI, ...args], { cwd: REPOSITORY_ROOT, env });
  return stdout;
}

test('the demonstration streams a session of each bundled model', () => {
  expect(up.output).toMatch(/speech\s+0:00\.5/);
  expect(up.output).toContain('T AE1 K S IY0');
  expect(up.output).toMatch(/text-upside-down\.png\n180 /);
  expect(up.output).toMatch(/utterance \{"start":0\.5.*"end":5\./);
  // A film that its own commands steer, and that goes on after it was paused.
  expect(up.output).toMatch(/set_prompt: \{"from_frame":\d+\}[^]*pause: [^]*pause: [^]*mean #/);
  expect(up.output).toMatch(/cancelled after \d+ frames/);
});

test('each cabstand command of the README’s section on calls works as written', async () => {
  const [, section = ''] = /^## Call it$([^]*?)^## /m.exec(readme) ?? [];
  const commands = [...section.matchAll(/^npx cabstand (.+?)(?:\s+#.*)?$/gm)].map(([, c]) => c!);
  expect(commands.length).toBeGreaterThanOrEqual(6);
  for (const command of commands) {
    if (command.startsWith('doctor')) continue;
    expect(await cabstand(...command.split(' '))).not.toBe('');
  }
}, 60_000);

test('the README’s program runs and prints phonemes', async () => {
  const [, source] = /```ts\n([\s\S]+?)```/.exec(readme) ?? [];
  const adapted = source!
    .replace('127.0.0.1:50050', router)
    .replaceAll('.cabstand/keys/', `${keys()}/`);
  const { code } = transformSync(wrap(adapted), {
    jsc: { parser: { syntax: 'typescript' }, target: 'es2023' },
    module: { type: 'commonjs' },
  });
  // Inside the repository, so that the package is found.
  const file = path.join(REPOSITORY_ROOT, 'test/dist/readme-example.js');
  writeFileSync(file, code);
  const { stdout } = await run(process.execPath, [file]);
  expect(
    stdout
      .replaceAll(/[\d\n]+/g, ' ')
      .replaceAll(/ +/g, ' ')
      .trim(),
  ).toBe('T AE K S IY');
});

/** Top-level await does not exist in CommonJS. */
function wrap(source: string): string {
  const imports = source.match(/^import [^;]+;$/gm) ?? [];
  const body = source.replaceAll(/^import [^;]+;$/gm, '');
  return `${imports.join('\n')}\nvoid (async () => {${body}})();`;
}

test('a second run in the same folder says what holds it', async () => {
  const second = new Child('second', [
    CLI,
    'up',
    '--data',
    data,
    '--port',
    '1',
    '--admin-port',
    '9',
  ]);
  const { code } = await second.exited;
  expect(code).not.toBe(0);
  expect(second.output).toContain(data);
  // All three, or the next try meets the next refusal.
  expect(second.output).toContain('--data DIR --port PORT --admin-port PORT');
});

test('Ctrl-C drains, ends with 0 and leaves no process behind', async () => {
  const family = descendants(up.pid);
  // A router, two hosters and an engine for each of the five models of each.
  expect(family.length).toBeGreaterThanOrEqual(13);
  up.kill('SIGINT');
  expect(await up.exited).toEqual({ code: 0, signal: null });
  expect(family.filter(isAlive)).toEqual([]);
}, 40_000);
