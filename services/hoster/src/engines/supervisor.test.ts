/** Real processes that fail on demand; see faulty-engine.fixture.mjs. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { CabstandError, systemClock } from '@cabstand/core';
import type { TurnEnd } from '@cabstand/engine';
import type { Manifest, Provider } from '@cabstand/model';
import type { EngineDeath, EngineLog } from './observer';
import { noObserver } from './observer';
import { resolveEngineOptions } from './options';
import type { EngineOptions } from './options';
import { EngineProcess } from './engine-process';
import { SocketFolder, isAlive } from './socket-folder';
import { Spares } from './spares';
import { EngineSupervisor } from './supervisor';

const FIXTURE = path.join(__dirname, 'faulty-engine.fixture.mjs');
const INPUT = { prompt: '', parameters: {}, tensors: [], live: false };
const QUICK: EngineOptions = {
  helloTimeoutMs: 3_000,
  loadTimeoutMs: 500,
  stallMs: 300,
  silenceMs: 60_000,
  stopMs: 300,
  restartMs: 10,
  maxRestartMs: 20,
  crashes: 3,
  retryMs: 60_000,
};

let folder: SocketFolder;
const running: EngineSupervisor[] = [];
const stocks: Spares[] = [];

beforeEach(async () => {
  folder = await SocketFolder.create();
});

afterEach(async () => {
  await Promise.all(
    running.splice(0).map((s) => s.stop(new CabstandError('DRAINING', 'test over'))),
  );
  await Promise.all(stocks.splice(0).map((spares) => spares.stop()));
  folder.remove();
});

function supervise(
  fault: string,
  options: EngineOptions = {},
  providers: Provider[] = ['cpu'],
  golden = '/nowhere/golden.json',
) {
  const deaths: EngineDeath[] = [];
  const audits: string[] = [];
  const logged: string[] = [];
  const say = (_fields: object, message: string): void => void logged.push(message);
  const log: EngineLog = { debug: say, info: say, warn: say, error: say };
  let changed = (): void => undefined;
  const resolved = resolveEngineOptions({
    spares: 0,
    ...QUICK,
    command: [process.execPath, FIXTURE, fault],
    ...options,
  });
  const deps = { options: resolved, folder, clock: systemClock, log };
  let onSpare: (spare: EngineProcess) => void = () => undefined;
  const spares = new Spares({
    ...deps,
    start: async (signal) => {
      const spare = await EngineProcess.start(deps, signal);
      onSpare(spare);
      return spare;
    },
    checkMemory: () => undefined,
  });
  stocks.push(spares);
  const files = { changed: false };
  const supervisor = new EngineSupervisor(
    {
      kind: 'stateful',
      name: 'm',
      version: '1',
      folder: '/nowhere',
      digest: 'sha256:0',
      providers,
      batching: { maxBatch: 4 },
      golden: { file: golden === '' ? undefined : golden },
    } as unknown as Manifest,
    {
      ...deps,
      spares,
      observer: {
        ...noObserver,
        died: (_labels, cause) => void deaths.push(cause),
        audited: (_labels, result, count) => void audits.push(`${count} ${result}`),
      },
      onChange: () => changed(),
      checkFiles: () =>
        files.changed
          ? Promise.reject(new CabstandError('MANIFEST_INVALID', 'the files changed'))
          : Promise.resolve(),
      checkMemory: () => Promise.resolve(),
    },
  );
  running.push(supervisor);
  const until = (state: string): Promise<void> =>
    new Promise((resolve) => {
      changed = () => {
        if (supervisor.state.state === state) resolve();
      };
      changed();
    });
  /** Resolves with the newest spare once it waits for a model. */
  const spare = (): Promise<EngineProcess> =>
    new Promise((resolve) => {
      onSpare = resolve;
      spares.hold()();
    });
  return { supervisor, deaths, audits, logged, until, files, spare };
}

/** Opens a sequence and runs a turn; resolves with what became of it. */
function runTurn(supervisor: EngineSupervisor): Promise<TurnEnd | CabstandError> {
  return new Promise((resolve) => {
    const sequence = supervisor.openSequence(
      {
        chunk: () => undefined,
        inputTaken: () => undefined,
        record: () => undefined,
        held: () => undefined,
        notice: () => undefined,
        snapshot: () => undefined,
        endOfTurn: (_turn, end) => resolve(end),
        failed: resolve,
      },
      { priority: 0 },
    );
    sequence.startTurn(0, INPUT);
    sequence.credit(10, 10_000);
  });
}

test('an engine that speaks the protocol serves, and leaves no process behind', async () => {
  const { supervisor } = supervise('none');
  await expect(supervisor.start(false)).resolves.toMatchObject({ batchClass: 'exact' });
  await expect(runTurn(supervisor)).resolves.toMatchObject({ reason: 'completed' });
  const pid = supervisor.pid!;
  expect(isAlive(pid)).toBe(true);

  await supervisor.stop(new CabstandError('DRAINING', 'bye'));
  expect(isAlive(pid)).toBe(false);
});

test('one that ignores SHUTDOWN is killed', async () => {
  const { supervisor } = supervise('stubborn');
  await supervisor.start(false);
  const pid = supervisor.pid!;

  const before = performance.now();
  await supervisor.stop(new CabstandError('DRAINING', 'bye'));
  expect(isAlive(pid)).toBe(false);
  expect(performance.now() - before).toBeLessThan(2_000);
});

test.each([
  ['says-nothing', { helloTimeoutMs: 300 }, 'ENGINE_CRASHED', 'said nothing within 300 ms'],
  ['old', {}, 'MODEL_FAILED', 'frame protocol 99'],
  ['dies-at-load', {}, 'ENGINE_CRASHED', 'exit code 7'],
  ['hangs-at-load', {}, 'ENGINE_STALLED', 'while it loaded'],
  ['refuses', {}, 'VERIFICATION_FAILED', 'something else'],
  ['none', { maxStateBytes: 99 }, 'MODEL_FAILED', 'state is 100 bytes'],
  ['none', { maxMessageBytes: 1000 }, 'MODEL_FAILED', 'holds 100 bytes of state'],
  ['none', { command: ['/no/such/program'] }, 'MODEL_FAILED', 'cannot be started: ENOENT'],
] as const)('%s: the load fails with its reason', async (fault, options, reason, message) => {
  const { supervisor } = supervise(fault, options);
  await expect(supervisor.start(false)).rejects.toMatchObject({
    reason,
    message: expect.stringContaining(message),
  });
  expect(supervisor.state).toMatchObject({ state: 'failed', retryAt: undefined });
  expect(() => supervisor.openSequence({} as never, { priority: 0 })).toThrow(
    expect.objectContaining({ reason: 'MODEL_FAILED' }) as Error,
  );
});

test('engines inherit no settings of the hoster, and no telemetry', async () => {
  const before = process.env;
  process.env = { PATH: before['PATH'], CABSTAND_AUTH_KEY: 'hush' };
  try {
    const file = path.join(folder.path, 'environment');
    const { supervisor } = supervise('none', { command: ['/bin/sh', '-c', `env > '${file}'`] });
    await expect(supervisor.start(false)).rejects.toMatchObject({ reason: 'ENGINE_CRASHED' });
    const inherited = readFileSync(file, 'utf8').split('\n');
    expect(inherited).toContain('ORT_DISABLE_TELEMETRY=1');
    expect(inherited.filter((line) => line.startsWith('CABSTAND_'))).toEqual([]);
  } finally {
    process.env = before;
  }
});

test('a refused provider is logged and the next one serves', async () => {
  const { supervisor, logged } = supervise('cpu-only', {}, ['cuda', 'cpu']);
  await expect(supervisor.start(false)).resolves.toMatchObject({ provider: 'cpu' });
  expect(logged).toContain('provider refused: cuda computes something else');
});

test('a model whose engine dies of inputs that were made up to try it is served untried', async () => {
  const { supervisor, logged } = supervise('dies-of-trials', {}, ['cpu'], '');
  await expect(supervisor.start(false)).resolves.toMatchObject({
    batchClass: 'unbatched',
    reference: 'none',
    unbatchedBecause: expect.stringContaining('SIGFPE'),
  });
  expect(logged).toContainEqual(expect.stringContaining('not verified'));
  await expect(runTurn(supervisor)).resolves.toMatchObject({ reason: 'completed' });
});

test.each([
  ['dies-by-api', ['cpu']],
  ['wrong-by-api', ['cuda', 'cpu']],
] as const)(
  '%s: a model whose engine fails by the C API of ONNX Runtime is served by its binding',
  async (fault, all) => {
    const { supervisor, logged, until } = supervise(fault, {}, [...all]);
    await expect(supervisor.start(false)).resolves.toMatchObject({ provider: all[0] });
    expect(logged).toContainEqual(expect.stringContaining('called by its binding'));
    await expect(runTurn(supervisor)).resolves.toMatchObject({ reason: 'completed' });
    // So are its successors.
    process.kill(supervisor.pid!, 'SIGKILL');
    await until('backing-off');
    await until('serving');
    await expect(runTurn(supervisor)).resolves.toMatchObject({ reason: 'completed' });
  },
);

test('a model whose engine dies of golden data is not', async () => {
  const { supervisor } = supervise('dies-of-trials');
  await expect(supervisor.start(false)).rejects.toMatchObject({ reason: 'ENGINE_CRASHED' });
});

test('kill -9 fails its sequences at once and it serves again', async () => {
  const { supervisor, deaths, until } = supervise('none');
  await supervisor.start(false);
  const failed = new Promise<CabstandError>((resolve) => {
    supervisor.openSequence(
      {
        chunk: () => undefined,
        inputTaken: () => undefined,
        record: () => undefined,
        held: () => undefined,
        notice: () => undefined,
        snapshot: () => undefined,
        endOfTurn: () => undefined,
        failed: resolve,
      },
      { priority: 0 },
    );
  });
  const before = performance.now();
  process.kill(supervisor.pid!, 'SIGKILL');
  await expect(failed).resolves.toMatchObject({
    reason: 'ENGINE_CRASHED',
    metadata: { signal: 'SIGKILL' },
  });
  // One that stands still is found later.
  expect(performance.now() - before).toBeLessThan(1_500);
  expect(() => supervisor.openSequence({} as never, { priority: 0 })).toThrow(
    expect.objectContaining({ reason: 'ENGINE_CRASHED' }) as Error,
  );
  await until('serving');
  await expect(runTurn(supervisor)).resolves.toMatchObject({ reason: 'completed' });
  expect(deaths).toEqual(['exited']);
});

test('one that talks but does not work is killed as stalled', async () => {
  const { supervisor, deaths } = supervise('mute', { firstStepMs: 300 });
  await supervisor.start(false);
  await expect(runTurn(supervisor)).resolves.toMatchObject({ reason: 'ENGINE_STALLED' });
  expect(deaths).toEqual(['stalled']);
});

test('what an audit found is counted, logged, and holds for the engines that follow', async () => {
  const { supervisor, audits, logged, until } = supervise('leaks');
  await expect(supervisor.start(false)).resolves.toMatchObject({
    batchClass: 'exact',
    maxBatch: 4,
  });
  await runTurn(supervisor);
  expect(audits).toEqual(['3 passed', '1 failed']);
  const unbatched = {
    ...{ batchClass: 'unbatched', maxBatch: 1, reference: 'golden' },
    unbatchedBecause: expect.stringMatching(
      /output y\[0\] was 2 among others and is 1 alone/,
    ) as string,
  };
  expect(supervisor.loaded).toMatchObject(unbatched);
  expect(logged.join()).toMatch(/nothing is batched any more: an audit found/);
  process.kill(supervisor.pid!, 'SIGKILL');
  await until('backing-off');
  await until('serving');
  expect(supervisor.loaded).toMatchObject(unbatched);
});

test('one that breaks the protocol is killed', async () => {
  const { supervisor, deaths } = supervise('garbage');
  await supervisor.start(false);
  await expect(runTurn(supervisor)).resolves.toMatchObject({
    reason: 'ENGINE_CRASHED',
    metadata: { cause: 'protocol' },
  });
  expect(deaths).toEqual(['protocol']);
});

test('one that takes too much memory is killed, with how much', async () => {
  const { supervisor, until } = supervise('hog', { maxMemoryBytes: 1_000_000, crashes: 1 });
  await supervisor.start(false);
  await until('failed');
  expect(supervisor.state).toMatchObject({
    error: { metadata: { cause: 'memory', limit_bytes: '1000000' } },
  });
});

test('a crash loop ends in failed, with a reason and a later try', async () => {
  const { supervisor, deaths, until } = supervise('dies-soon');
  await supervisor.start(false);
  await until('failed');
  expect(deaths).toEqual(['exited', 'exited', 'exited']);
  expect(supervisor.state).toMatchObject({
    state: 'failed',
    error: { reason: 'MODEL_FAILED', metadata: { deaths: '3', exit_code: '3' } },
    retryAt: expect.any(Number),
  });
});

test('a failed load that may pass is tried again', async () => {
  const { supervisor, until } = supervise('dies-at-load', { retryMs: 50 });
  await expect(supervisor.start(true)).rejects.toMatchObject({ reason: 'ENGINE_CRASHED' });
  expect(supervisor.state.state).toBe('failed');
  await until('loading');
  await until('failed');
});

test('a stop in the middle of a load leaves nothing behind', async () => {
  const { supervisor, until } = supervise('hangs-at-load', { loadTimeoutMs: 60_000 });
  const load = supervisor.start(true).catch((error: unknown) => error);
  await until('loading');

  await supervisor.stop(new CabstandError('DRAINING', 'bye'));
  await expect(load).resolves.toMatchObject({ reason: 'DRAINING' });
  expect(supervisor.state.state).toBe('stopped');
});

test('a spare takes the model at the first load, and the next one when that dies', async () => {
  const { supervisor, until, spare } = supervise('none', { spares: 1 });
  const first = await spare();
  await supervisor.start(false);
  expect(supervisor.pid).toBe(first.pid);
  const second = await spare();
  expect(second.pid).not.toBe(first.pid);
  process.kill(first.pid, 'SIGKILL');
  await until('backing-off');
  await until('serving');
  expect(supervisor.pid).toBe(second.pid);
  await expect(runTurn(supervisor)).resolves.toMatchObject({ reason: 'completed' });
});

test('a spare killed together with the engine is not a death of the model', async () => {
  const { supervisor, deaths, until, spare } = supervise('none', { spares: 1 });
  await supervisor.start(false);
  const { pid } = await spare();
  process.kill(pid, 'SIGKILL');
  process.kill(supervisor.pid!, 'SIGKILL');
  await until('backing-off');
  await until('serving');
  expect(supervisor.pid).not.toBe(pid);
  expect(deaths).toEqual(['exited']);
});

test('a spare that stands still is killed, and a fresh engine loads the model', async () => {
  const { supervisor, deaths, logged, spare } = supervise('none', { spares: 1 });
  const { pid } = await spare();
  process.kill(pid, 'SIGSTOP');
  await supervisor.start(false);
  expect(supervisor.pid).not.toBe(pid);
  expect(isAlive(pid)).toBe(false);
  expect(deaths).toEqual([]);
  expect(logged).toContain(
    'the spare engine was of no use: the engine said nothing for 300 ms while it loaded',
  );
});

test('files that changed while the engine read them keep it from serving', async () => {
  const { supervisor, files } = supervise('none');
  files.changed = true;
  await expect(supervisor.start(true)).rejects.toMatchObject({ reason: 'MANIFEST_INVALID' });
  expect(supervisor.state).toMatchObject({ state: 'failed', retryAt: undefined });
});

test('an engine that died after it served well is back at once, however often', async () => {
  const { supervisor, deaths, until } = supervise('none', { restartMs: 1, crashes: 2 });
  await supervisor.start(false);
  for (let i = 0; i < 4; i += 1) {
    const pid = supervisor.pid!;
    const since = performance.now();
    do await runTurn(supervisor);
    while (performance.now() - since < 20);
    process.kill(pid, 'SIGKILL');
    await until('backing-off');
    await until('serving');
  }
  expect(deaths).toHaveLength(4);
});

test('what callers hear of its end names no folder of this machine', async () => {
  const { supervisor } = supervise('names-paths');
  await supervisor.start(false);
  expect(await runTurn(supervisor)).toMatchObject({ message: 'no y.bin' });
});
