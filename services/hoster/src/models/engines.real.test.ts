/** The host with the real engine and the bundled models. Needs a build. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { CabstandError } from '@cabstand/core';
import type { TurnEnd } from '@cabstand/engine';
import { tensorOf } from '@cabstand/tensor';
import type { Sequence, ServedModel } from '@cabstand/sessions';
import type { ModelHost } from './model-host';
import type { EngineLog } from '../engines/observer';
import { openModelHost } from './host';
import type { ModelHostOptions } from './options';

const BUNDLED = path.resolve(__dirname, '../../../../models');
const SECOND = 16_000;

jest.setTimeout(60_000);

let root: string;
let hosts: ModelHost[];
let main: ChildProcess | undefined;
beforeEach(() => {
  root = mkdtempSync(path.join(tmpdir(), 'mr-'));
  hosts = [];
});
afterEach(async () => {
  main?.kill('SIGKILL');
  main = undefined;
  await Promise.all(hosts.map((host) => host.stop()));
  rmSync(root, { recursive: true, force: true });
});

async function open(options: Partial<ModelHostOptions> = {}): Promise<ModelHost> {
  const host = await openModelHost({
    repositories: [BUNDLED],
    only: ['silero-vad', 'g2p'],
    socketParent: root,
    ...options,
  });
  hosts.push(host);
  return host;
}

/** One turn with a credit window that is topped up as records come, as sessions do. */
class Stream {
  readonly over: Promise<TurnEnd | CabstandError>;
  readonly sequence: Sequence;
  chunks = 0;
  lastAt = 0;
  longestGap = 0;
  #onChunk: (() => void) | undefined;

  constructor(model: ServedModel, input: { prompt?: string; seconds?: number }) {
    let resolve: (end: TurnEnd | CabstandError) => void = () => undefined;
    this.over = new Promise((settle) => {
      resolve = settle;
    });
    this.sequence = model.openSequence(
      {
        chunk: (_turn, chunk) => {
          const now = performance.now();
          if (this.chunks > 0) this.longestGap = Math.max(this.longestGap, now - this.lastAt);
          this.lastAt = now;
          this.chunks += 1;
          this.#onChunk?.();
          this.sequence.credit(1, chunk.byteLength);
        },
        endOfTurn: (_turn, end) => resolve(end),
        inputTaken: () => undefined,
        record: () => undefined,
        held: () => undefined,
        notice: () => undefined,
        snapshot: () => undefined,
        failed: resolve,
      },
      { priority: 0 },
    );
    const { prompt = '', seconds } = input;
    this.sequence.startTurn(0, {
      prompt,
      parameters: {},
      tensors: seconds === undefined ? [] : [tensorOf('audio', new Float32Array(seconds * SECOND))],
      live: false,
    });
    this.sequence.credit(16, 1_000_000);
  }

  reached(chunks: number): Promise<void> {
    return new Promise((resolve) => {
      this.#onChunk = () => {
        if (this.chunks >= chunks) resolve();
      };
      this.#onChunk();
    });
  }
}

function untilReady(host: ModelHost, model: ServedModel): Promise<void> {
  return new Promise((resolve) => {
    const end = host.onChange(() => {
      if (model.status.state !== 'ready') return;
      end();
      resolve();
    });
  });
}

/** From before its death was noticed until it serves again. */
async function untilRestarted(host: ModelHost, model: ServedModel): Promise<void> {
  await new Promise<void>((resolve) => {
    const end = host.onChange(() => {
      if (model.status.state === 'ready') return;
      end();
      resolve();
    });
  });
  await untilReady(host, model);
}

const pidOf = (model: ServedModel): number => (model as { enginePid?: number }).enginePid!;

/** A process that has ended but whose parent has not noticed yet is not alive. */
const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  try {
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    // Gone just now, or a system without /proc.
    return process.platform !== 'linux';
  }
};

async function untilDead(pid: number, withinMs: number): Promise<number> {
  const start = performance.now();
  while (isAlive(pid)) {
    if (performance.now() - start > withinMs) throw new Error(`process ${pid} lives on`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return performance.now() - start;
}

const report = (line: string): void => void process.stderr.write(`      ${line}\n`);

test('kill -9 of an engine while it streams: failed at once, serving again, others unaffected', async () => {
  const host = await open();
  await host.settled();
  const vad = host.resolve('silero-vad');
  const g2p = host.resolve('g2p');
  const pid = pidOf(vad);

  let words = 0;
  let slowest = 0;
  let going = true;
  const others = (async () => {
    while (going) {
      const started = performance.now();
      const word = new Stream(g2p, { prompt: 'tokenizer' });
      await expect(word.over).resolves.toMatchObject({ reason: 'completed' });
      word.sequence.close();
      slowest = Math.max(slowest, performance.now() - started);
      words += 1;
    }
  })();

  const streams = Array.from({ length: 8 }, () => new Stream(vad, { seconds: 60 }));
  await Promise.all(streams.map((stream) => stream.reached(50)));
  const killed = performance.now();
  process.kill(pid, 'SIGKILL');
  const ends = await Promise.all(streams.map((stream) => stream.over));
  const failedMs = performance.now() - killed;
  for (const end of ends)
    expect(end).toMatchObject({
      reason: 'ENGINE_CRASHED',
      metadata: { cause: 'exited', signal: 'SIGKILL' },
    });
  await untilReady(host, vad);
  const again = new Stream(vad, { seconds: 1 });
  await again.reached(1);
  const servingMs = performance.now() - killed;
  await expect(again.over).resolves.toMatchObject({ reason: 'completed', steps: 31 });
  going = false;
  await others;
  report(
    `failed after ${failedMs.toFixed(1)} ms, first record again after ${servingMs.toFixed(0)} ms; ` +
      `meanwhile ${words} words of another model, the slowest in ${slowest.toFixed(0)} ms`,
  );
  // One that stands still is found later.
  expect(failedMs).toBeLessThan(1_500);
  expect(servingMs).toBeLessThan(10_000);
  expect(words).toBeGreaterThan(3);
  expect(pidOf(vad)).not.toBe(pid);
});

/** Process ids of spares, in the order in which they were ready. */
class SpareLog implements EngineLog {
  readonly pids: number[] = [];
  readonly debug = (): void => undefined;
  readonly warn = (): void => undefined;
  readonly error = (): void => undefined;
  #onSpare: () => void = () => undefined;

  info(fields: { engine_pid?: number }, message: string): void {
    if (message !== 'spare engine is ready') return;
    this.pids.push(fields.engine_pid!);
    this.#onSpare();
  }

  /** Resolves with the process id of the spare with this number, from 1. */
  spare(count: number): Promise<number> {
    return new Promise((resolve) => {
      this.#onSpare = () => {
        if (this.pids.length >= count) resolve(this.pids[count - 1]!);
      };
      this.#onSpare();
    });
  }
}

test('the spare takes over from a killed engine, and another spare stands by', async () => {
  const log = new SpareLog();
  const host = await open({ log });
  await host.settled();
  // Models come first.
  expect(log.pids).toEqual([]);
  const vad = host.resolve('silero-vad');
  const g2p = host.resolve('g2p');
  const models = [vad, g2p, vad, vad];
  for (const [index, model] of models.entries()) {
    const spare = await log.spare(index + 1);
    // Started by nobody's need: no model has it.
    expect([pidOf(vad), pidOf(g2p)]).not.toContain(spare);
    const stream = new Stream(
      model,
      model === vad ? { seconds: 60 } : { prompt: 'tokenizer'.repeat(3) },
    );
    await stream.reached(1);
    process.kill(pidOf(model), 'SIGKILL');
    await stream.over;
    await untilReady(host, model);
    expect(pidOf(model)).toBe(spare);
    const again = new Stream(model, model === vad ? { seconds: 1 } : { prompt: 'tokenizer' });
    await expect(again.over).resolves.toMatchObject({ reason: 'completed' });
    again.sequence.close();
  }
  expect(new Set(log.pids).size).toBe(log.pids.length);
});

test('without spares a killed engine is replaced by one that starts', async () => {
  const log = new SpareLog();
  const host = await open({ only: ['silero-vad'], engines: { spares: 0 }, log });
  await host.settled();
  const vad = host.resolve('silero-vad');
  process.kill(pidOf(vad), 'SIGKILL');
  await untilRestarted(host, vad);
  expect(log.pids).toEqual([]);
});

test('a stopped engine is found stalled, killed and replaced', async () => {
  const host = await open({ only: ['silero-vad'] });
  await host.settled();
  const vad = host.resolve('silero-vad');
  const pid = pidOf(vad);
  const stream = new Stream(vad, { seconds: 200 });
  await stream.reached(20);
  const stopped = performance.now();
  process.kill(pid, 'SIGSTOP');
  await expect(stream.over).resolves.toMatchObject({ reason: 'ENGINE_STALLED' });
  const stalledMs = performance.now() - stopped;
  await untilReady(host, vad);
  const again = new Stream(vad, { seconds: 1 });
  await expect(again.over).resolves.toMatchObject({ reason: 'completed' });
  report(
    `stalled after ${stalledMs.toFixed(0)} ms, serving after ${(performance.now() - stopped).toFixed(0)} ms`,
  );
  expect(stalledMs).toBeGreaterThan(1_700);
  expect(stalledMs).toBeLessThan(10_000);
  expect(isAlive(pid)).toBe(false);
});

test('a new version takes over while the old one finishes its stream', async () => {
  const folder = path.join(root, 'models', 'silero-vad');
  cpSync(path.join(BUNDLED, 'silero-vad'), folder, { recursive: true });
  const host = await open({ repositories: [path.join(root, 'models')], only: ['silero-vad'] });
  await host.settled();
  const old = host.resolve('silero-vad');
  const stream = new Stream(old, { seconds: 200 });
  await stream.reached(10);
  cpSync(path.join(folder, '1'), path.join(folder, '2'), { recursive: true });
  const fresh = await host.load('silero-vad');
  expect(fresh.version).toBe('2');
  await expect(new Stream(fresh, { seconds: 1 }).over).resolves.toMatchObject({
    reason: 'completed',
  });
  await expect(stream.over).resolves.toMatchObject({ reason: 'completed', steps: 6_250 });
  stream.sequence.close();
  const pid = pidOf(fresh);
  await expect(host.unload('silero-vad', undefined, 100)).resolves.toBe(1);
  expect(isAlive(pid)).toBe(false);
});

test.each([
  ['cut', (file: string) => truncateSync(file, 100_000), 'broken'],
  // Only ONNX Runtime knows its operators.
  ['no graph that can run', (file: string) => replaceIn(file, 'LSTM', 'LSTX'), 'failed'],
])(
  'an ONNX file that is %s fails its model with a reason, and the others serve',
  async (_, spoil, how) => {
    const models = path.join(root, 'models');
    cpSync(path.join(BUNDLED, 'silero-vad'), path.join(models, 'silero-vad'), { recursive: true });
    cpSync(path.join(BUNDLED, 'silero-vad'), path.join(models, 'broken-vad'), { recursive: true });
    const manifest = path.join(models, 'broken-vad', 'model.yaml');
    writeFileSync(manifest, readFileSync(manifest, 'utf8').replace('silero-vad', 'broken-vad'));
    spoil(path.join(models, 'broken-vad', '1', 'silero_vad.onnx'));
    const host = await open({ repositories: [models], only: ['silero-vad', 'broken-vad'] });
    await host.settled();
    expect(host.resolve('silero-vad').status.state).toBe('ready');
    const loaded = host.models().find((model) => model.name === 'broken-vad');
    const unread = host.broken().find((model) => model.name === 'broken-vad');
    expect(how === 'failed' ? loaded?.status : { ...unread, state: 'broken' }).toMatchObject({
      state: how,
      error: expect.any(CabstandError) as CabstandError,
    });
    let thrown: unknown;
    try {
      host.resolve('broken-vad');
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({ reason: 'MODEL_FAILED' });
    const { message, metadata } = CabstandError.from(thrown);
    expect(message).toContain(path.join('broken-vad', '1', 'silero_vad.onnx'));
    expect(JSON.stringify({ message, metadata })).not.toContain(root);
  },
);

function replaceIn(file: string, search: string, replacement: string): void {
  const text = readFileSync(file, 'latin1');
  expect(text).toContain(search);
  writeFileSync(file, text.replaceAll(search, replacement), 'latin1');
}

test('no engine is left after stop, nor after main was killed', async () => {
  const log = new SpareLog();
  const host = await open({ log });
  await host.settled();
  const pids = [...host.models().map(pidOf), await log.spare(1)];
  await host.stop();
  expect(pids.map(isAlive)).toEqual([false, false, false]);

  const started = spawn(
    process.execPath,
    [
      '-e',
      `let spare; const spareReady = new Promise((resolve) => { spare = resolve; });
       const { openModelHost } = require(${JSON.stringify(path.resolve(__dirname, '../../dist/models/host.js'))});
       openModelHost({ repositories: [${JSON.stringify(BUNDLED)}], only: ['silero-vad'],
         socketParent: ${JSON.stringify(root)},
         log: { debug() {}, warn() {}, error() {}, info: (fields, message) =>
           message === 'spare engine is ready' && spare(fields.engine_pid) },
       }).then(async (host) => {
         await host.settled();
         console.log(JSON.stringify([host.models()[0].enginePid, await spareReady]));
         setInterval(() => {}, 1000);
       });`,
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  main = started;
  const orphans = await new Promise<number[]>((resolve) => {
    started.stdout.once('data', (line: Buffer) => {
      resolve(JSON.parse(line.toString()) as number[]);
    });
  });
  expect(orphans.map(isAlive)).toEqual([true, true]);
  started.kill('SIGKILL');
  const ms = await Promise.all(orphans.map((pid) => untilDead(pid, 3_000)));
  report(`engine and spare of a killed main were gone after ${Math.max(...ms).toFixed(0)} ms`);
});
