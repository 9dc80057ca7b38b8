import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { FakeClock } from '@cabstand/core';
import { Folder } from '../folder.fixture';
import { Child } from './child';
import type { ChildOptions } from './child';

const folder = new Folder();
afterAll(() => folder.remove());

function child(script: string, options: Partial<ChildOptions> = {}): Child {
  return new Child({
    name: 'x',
    args: ['-e', script],
    env: process.env,
    logFile: path.join(folder.path, `${Math.random()}.log`),
    finished: () => undefined,
    died: () => undefined,
    restarted: () => undefined,
    ...options,
  });
}

/** Until the script has said that it is ready, in its log. */
async function running(process: Child): Promise<void> {
  while (!existsSync(process.logFile) || !readFileSync(process.logFile, 'utf8').includes('ready'))
    await new Promise((resolve) => setImmediate(resolve));
}

test('a process that obeys is asked once and gone', async () => {
  const it = child(
    "process.on('SIGTERM', () => process.exit(0)); setInterval(() => 0, 1e6); console.log('ready')",
  );
  it.start();
  await running(it);
  const pid = it.pid!;
  expect(await it.stop(10_000)).toBe(true);
  expect(() => process.kill(pid, 0)).toThrow();
});

test('a process that does not is killed at the deadline, with what it started', async () => {
  const it = child(`
    process.on('SIGTERM', () => 0);
    const own = require('node:child_process').spawn(process.execPath, ['-e', 'setInterval(() => 0, 1e6)']);
    console.log('ready', own.pid);
    setInterval(() => 0, 1e6);`);
  it.start();
  await running(it);
  const grandchild = Number(/ready (\d+)/.exec(readFileSync(it.logFile, 'utf8'))![1]);
  expect(await it.stop(50)).toBe(false);
  for (;;)
    try {
      process.kill(grandchild, 0);
      // Dead, but not yet reaped by whoever inherited it.
      if (/^State:\s+Z/m.test(readFileSync(`/proc/${grandchild}/status`, 'utf8'))) break;
      await new Promise((resolve) => setImmediate(resolve));
    } catch {
      break;
    }
});

test('one that dies starts again, later each time, until it is stopped', async () => {
  const clock = new FakeClock();
  const deaths: [string, number][] = [];
  let told: () => void = () => undefined;
  const it = child("console.log('ready'); process.exit(7)", {
    clock,
    died: (how, restartMs) => {
      deaths.push([how, restartMs]);
      told();
    },
  });
  const death = (): Promise<void> => new Promise((resolve) => (told = resolve));
  let dead = death();
  it.start();
  for (let i = 0; i < 3; i++) {
    await dead;
    dead = death();
    await clock.advance(deaths.at(-1)![1]);
  }
  await dead;
  expect(deaths).toEqual([1000, 2000, 4000, 8000].map((ms) => ['exit code 7', ms]));
  expect(await it.stop(1000)).toBe(true);
  expect(clock.pending).toBe(0);
});

test('one that ends by itself with exit code 0 stays down', async () => {
  const clock = new FakeClock();
  const how = await new Promise<string>((resolve) => {
    const it = child('process.exit(0)', {
      clock,
      finished: () => resolve('finished'),
      died: (code) => resolve(code),
    });
    it.start();
  });
  expect(how).toBe('finished');
  expect(clock.pending).toBe(0);
});

test('why it died is taken from its log', async () => {
  const lines = [
    { level: 'info', msg: 'listening' },
    { level: 'fatal', msg: 'no such folder' },
  ].map((line) => JSON.stringify(line));
  const dead = new Promise<void>((resolve) => {
    const it: Child = child(
      `console.log(${JSON.stringify(`${lines.join('\n')}\nTypeError: x`)}); process.exitCode = 1`,
      {
        died: () => {
          void it.lastProblems(5).then((problems) => {
            expect(problems).toBe('fatal: no such folder\nTypeError: x');
            void it.stop(0).then(() => resolve());
          });
        },
      },
    );
    it.start();
  });
  await dead;
});

test('a process whose parent is killed sees its channel end', async () => {
  const parent = `
    const { spawn } = require('node:child_process');
    const child = spawn(process.execPath, ['-e', "process.on('disconnect', () => process.exit(0)); setInterval(() => 0, 1e6); process.send('up')"],
      { stdio: ['ignore', 'ignore', 'ignore', 'ipc'], detached: true });
    child.on('message', () => console.log(child.pid));
    setInterval(() => 0, 1e6);`;
  const { spawn } = await import('node:child_process');
  const it = spawn(process.execPath, ['-e', parent], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = (await once(it.stdout, 'data')) as [Buffer];
  it.kill('SIGKILL');
  await once(it, 'exit');
  for (;;)
    try {
      process.kill(Number(line.toString()), 0);
      await new Promise((resolve) => setImmediate(resolve));
    } catch {
      break;
    }
});
