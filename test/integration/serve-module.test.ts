import { execFile, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { Child, REPOSITORY_ROOT, freePortRange, until } from '@cabstand/testing';

const run = promisify(execFile);
const CLI = path.join(REPOSITORY_ROOT, 'libs/cli/dist/main.js');

let folder: string;
beforeAll(() => (folder = mkdtempSync(path.join(tmpdir(), 'cabstand-serve-module-'))));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Whether each frame is black. */
const blackness = (out: string): boolean[] =>
  out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { outputs?: { image?: { data: number[] } } })
    .flatMap(({ outputs }) =>
      outputs?.image === undefined ? [] : [outputs.image.data.every((value) => value === 0)],
    );

/** A call that goes on until it is killed. */
class Running implements Disposable {
  readonly #child: ChildProcess;
  #out = '';
  #wake: () => void = () => undefined;

  constructor(child: ChildProcess) {
    this.#child = child;
    child.stdout?.on('data', (bytes: Buffer) => {
      this.#out += bytes.toString();
      this.#wake();
    });
  }

  /** The lines that have come. */
  get frames(): string {
    return this.#out.slice(0, this.#out.lastIndexOf('\n'));
  }

  /** Resolves once more lines have come. */
  async more(): Promise<void> {
    const { length } = this.frames;
    while (this.frames.length <= length)
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
  }

  [Symbol.dispose](): void {
    this.#child.kill('SIGKILL');
  }
}

test('a module that is saved: new sessions get the new code, one that runs keeps its own, an error changes nothing', async () => {
  await run(process.execPath, [CLI, 'module', 'init', 'waves', '--folder', folder]);
  const file = path.join(folder, 'waves', '1', 'index.ts');
  const save = (from: string, to: string): string => {
    const text = readFileSync(file, 'utf8').replace(from, to);
    writeFileSync(file, text);
    return text;
  };
  const ports = await freePortRange(4);
  const places = [
    '--port',
    String(ports),
    '--admin-port',
    String(ports + 2),
    '--no-auth',
    '--drain',
    '100ms',
  ];
  const data = ['--data', path.join(folder, 'data')];
  const child = new Child('serve', [
    CLI,
    'serve',
    path.dirname(path.dirname(file)),
    ...places,
    ...data,
  ]);
  const says = (pattern: RegExp): Promise<true> =>
    until(String(pattern), () => pattern.test(child.output) || undefined, {
      timeoutMs: 30_000,
      explain: () => child.output,
    });
  const command = (...args: string[]): string[] => {
    const where = ['--router', `127.0.0.1:${ports}`, '--no-auth'];
    return [CLI, 'infer', '--model', 'waves', '--json', ...where, ...args];
  };
  const infer = async (frames: number): Promise<boolean[]> =>
    blackness((await run(process.execPath, command('--param', `frames=${frames}`))).stdout);
  try {
    await says(/reload +on save/);
    const long = command('--param', 'frames=100000', '--param', 'frame_ms=40');
    using running = new Running(
      spawn(process.execPath, long, { stdio: ['ignore', 'pipe', 'ignore'] }),
    );
    await running.more();
    save('paint(pixels, ctx.state);', 'pixels.fill(0);');
    await says(/waves v2 is loaded/);
    expect(await infer(2)).toEqual([true, true]);
    const broken = save('pixels.fill(0);', 'pixels.fill(;');
    const line = broken.split('\n').findIndex((text) => text.includes('fill(;')) + 1;
    await says(new RegExp(`waves v2 goes on, .*\\n +index\\.ts:${line}:\\d+: `));
    expect(await infer(1)).toEqual([true]);
    // It began before the first save, and draws on.
    await running.more();
    expect(new Set(blackness(running.frames))).toEqual(new Set([false]));
  } finally {
    await child.stop();
  }
}, 60_000);
