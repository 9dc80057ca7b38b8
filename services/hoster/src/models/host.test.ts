/** The host over real engine processes that fail on demand, with real manifests. */
import { execFileSync } from 'node:child_process';
import {
  cpSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { CabstandError } from '@cabstand/core';
import type { SequenceSink } from '@cabstand/sessions';
import type { ModelHost } from './model-host';
import { openModelHost } from './host';
import type { ModelHostOptions } from './options';

const BUNDLED = path.resolve(__dirname, '../../../../models');
const FIXTURE = path.resolve(__dirname, '../engines/faulty-engine.fixture.mjs');

let root: string;
let hosts: ModelHost[];
beforeEach(() => {
  root = mkdtempSync(path.join(tmpdir(), 'mh-'));
  hosts = [];
});
afterEach(async () => {
  await Promise.all(hosts.map((host) => host.stop()));
  expect(readdirSync(root).filter((name) => name.startsWith('cabstand-engines'))).toEqual([]);
  rmSync(root, { recursive: true, force: true });
});

const folderOf = (name: string): string => path.join(root, 'models', name);

/** Puts a copy of a bundled model into the repository. */
function put(name: string, ...versions: string[]): void {
  cpSync(path.join(BUNDLED, 'silero-vad'), folderOf(name), { recursive: true });
  const file = path.join(folderOf(name), 'model.yaml');
  writeFileSync(file, readFileSync(file, 'utf8').replace('name: silero-vad', `name: ${name}`));
  for (const version of versions) putVersion(name, version);
}

function putVersion(name: string, version: string): void {
  cpSync(path.join(folderOf(name), '1'), path.join(folderOf(name), version), { recursive: true });
}

async function open(options: Partial<ModelHostOptions> = {}, fault = 'none'): Promise<ModelHost> {
  const host = await openModelHost({
    repositories: [path.join(root, 'models')],
    socketParent: root,
    ...options,
    engines: {
      command: [process.execPath, FIXTURE, fault],
      stopMs: 500,
      ...options.engines,
    },
  });
  hosts.push(host);
  return host;
}

function enginePidOf(host: ModelHost, name: string): number {
  const model = host.resolve(name);
  if ('enginePid' in model && typeof model.enginePid === 'number') return model.enginePid;
  throw new Error(`${name} has no engine`);
}

function sink(onFailed: (error: CabstandError) => void = () => undefined): SequenceSink {
  return {
    chunk: () => undefined,
    endOfTurn: () => undefined,
    inputTaken: () => undefined,
    record: () => undefined,
    held: () => undefined,
    notice: () => undefined,
    snapshot: () => undefined,
    failed: onFailed,
  };
}

const thrownBy = (call: () => unknown): unknown => {
  try {
    call();
  } catch (error) {
    return error;
  }
  return undefined;
};

test('the newest version of each model is loaded and takes sessions', async () => {
  put('one', '2', '10');
  put('two');
  const host = await open();
  expect(thrownBy(() => host.resolve('one'))).toMatchObject({ reason: 'MODEL_LOADING' });
  let changes = 0;
  host.onChange(() => (changes += 1));
  await host.settled();
  expect(changes).toBeGreaterThan(0);
  const served = host.models().map((m) => [m.name, m.version, m.status.state].join(' '));
  // In the order in which they were ready.
  expect(served.sort()).toEqual(['one 10 ready', 'two 1 ready']);
  const model = host.resolve('one');
  expect(model).toMatchObject({ provider: 'cpu', batchClass: 'exact', capacity: 1024 });
  expect(model.digest).toMatch(/^sha256:[0-9a-f]{64}$/);
  const sequence = model.openSequence(sink(), { priority: 0 });
  expect(model.openSequences).toBe(1);
  sequence.close();
  expect(model.openSequences).toBe(0);
  expect(thrownBy(() => host.resolve('three'))).toMatchObject({ reason: 'MODEL_UNKNOWN' });
});

test('a bad manifest among good ones is named, and the others serve', async () => {
  put('good');
  put('bad');
  const file = path.join(folderOf('bad'), 'model.yaml');
  writeFileSync(file, `${readFileSync(file, 'utf8')}\nbatchng: {}\n`);
  const host = await open();
  await host.settled();
  expect(host.resolve('good').status.state).toBe('ready');
  expect(host.broken()).toMatchObject([
    {
      name: 'bad',
      folder: folderOf('bad'),
      error: { reason: 'MANIFEST_INVALID', message: expect.stringContaining('bad/model.yaml: ') },
    },
  ]);
  const refused = thrownBy(() => host.resolve('bad'));
  expect(refused).toMatchObject({
    reason: 'MODEL_FAILED',
    message: expect.stringContaining('batchng'),
    metadata: { file: path.join('bad', 'model.yaml') },
  });
  // Callers do not learn how this machine's folders are called.
  await expect(host.load('bad')).rejects.toMatchObject({
    message: expect.not.stringContaining(root),
  });
  expect(refused).toMatchObject({ message: expect.not.stringContaining(root) });
});

test('a link out of the folder of models tells callers nothing of where it leads', async () => {
  put('good');
  put('bad');
  const file = path.join(folderOf('bad'), 'model.yaml');
  rmSync(file);
  writeFileSync(path.join(root, 'secret'), 'root:x:0:0:root:/root:/bin/bash\n');
  symlinkSync(path.join(root, 'secret'), file);
  const host = await open();
  await host.settled();
  expect(host.resolve('good').status.state).toBe('ready');
  const [broken] = host.broken();
  expect(broken?.error).toMatchObject({ reason: 'MANIFEST_INVALID' });
  const seen = JSON.stringify([host.broken(), thrownBy(() => host.resolve('bad'))].map(String));
  expect(seen).not.toContain('root:x');
  expect(broken?.error.message).toBe(
    'bad/model.yaml: model.yaml: got "a link", expected a file in the folder of models: its target lies elsewhere',
  );
});

test('a pipe and a device in the folder of a model hold up no other, nor the stop', async () => {
  put('good');
  for (const name of ['pipe', 'device']) put(name);
  execFileSync('sh', ['-c', 'mkfifo "$0"', path.join(folderOf('pipe'), '1', 'more.bin')]);
  symlinkSync('/dev/zero', path.join(folderOf('device'), '1', 'more.bin'));
  const host = await open();
  await host.settled();
  expect(host.resolve('good').status.state).toBe('ready');
  expect(host.broken().map(({ name, error }) => [name, error.message])).toEqual([
    ['device', 'device/model.yaml: 1/more.bin: got "a link to a device", expected a regular file'],
    ['pipe', 'pipe/model.yaml: 1/more.bin: got "a pipe", expected a regular file'],
  ]);
});

test('engines see no secret of the hoster, and may gain nothing by a flaw of theirs', async () => {
  put('one');
  const before = process.env;
  process.env = {
    ...before,
    DATABASE_URL: 'postgres://secret',
    OMP_WAIT_POLICY: 'PASSIVE',
    PROXY_NAME: 'kept',
  };
  try {
    const host = await open({ engines: { environment: ['PROXY_NAME'] } });
    await host.settled();
    const pid = enginePidOf(host, 'one');
    const environment = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
    expect(environment.filter((line) => /secret|^HOSTNAME|^npm_/.test(line))).toEqual([]);
    expect(environment).toEqual(
      expect.arrayContaining(['OMP_WAIT_POLICY=PASSIVE', 'PROXY_NAME=kept']),
    );
    expect(readFileSync(`/proc/${pid}/status`, 'utf8')).toMatch(/^NoNewPrivs:\s*1$/m);
    expect(readFileSync(`/proc/${pid}/limits`, 'utf8')).toMatch(/^Max core file size\s+0\s/m);
    expect(readFileSync(`/proc/${pid}/cmdline`, 'utf8')).toMatch(/^[^\0]*node\0/);
  } finally {
    process.env = before;
  }
});

test('engines are started as they are where that is wished', async () => {
  put('one');
  const host = await open({ engines: { sandbox: 'off' } });
  await host.settled();
  const pid = enginePidOf(host, 'one');
  const [own, theirs] = [process.pid, pid].map((one) =>
    readFileSync(`/proc/${one}/limits`, 'utf8'),
  );
  expect(theirs).toBe(own);
});

test('a missing weights file is named', async () => {
  put('bad');
  rmSync(path.join(folderOf('bad'), '1', 'silero_vad.onnx'));
  const host = await open();
  await host.settled();
  expect(host.broken()).toMatchObject([
    { error: { reason: 'MANIFEST_INVALID', message: expect.stringContaining('silero_vad.onnx') } },
  ]);
});

test('in strict mode one bad model fails the start', async () => {
  put('good');
  put('bad');
  rmSync(path.join(folderOf('bad'), '1'), { recursive: true });
  const host = await open({ strict: true });
  await expect(host.settled()).rejects.toMatchObject({ reason: 'MANIFEST_INVALID' });
});

test('models that were not asked for are not loaded, and unknown ones are an error', async () => {
  put('one');
  put('two');
  const host = await open({ only: ['two'] });
  await host.settled();
  expect(host.models().map((m) => m.name)).toEqual(['two']);
  await expect(open({ only: ['three'] })).rejects.toThrow('models.only: got "three"');
});

test('capacity is bounded by count and by bytes of state, and full is full', async () => {
  put('one');
  const host = await open({ engines: { maxStateBytes: 250 } });
  await host.settled();
  const model = host.resolve('one');
  expect(model.capacity).toBe(2);
  const first = model.openSequence(sink(), { priority: 0 });
  model.openSequence(sink(), { priority: 0 });
  expect(thrownBy(() => model.openSequence(sink(), { priority: 0 }))).toMatchObject({
    reason: 'HOSTER_FULL',
  });
  first.close();
  model.openSequence(sink(), { priority: 0 });
});

test('a new version is switched to while the old one serves what it has', async () => {
  put('one');
  const host = await open();
  await host.settled();
  const old = host.resolve('one');
  const sequence = old.openSequence(sink(), { priority: 0 });
  putVersion('one', '2');
  const fresh = await host.load('one');
  expect(fresh.version).toBe('2');
  expect(host.resolve('one')).toBe(fresh);
  expect(await host.load('one', '2')).toBe(fresh);
  expect(host.models().map((m) => [m.version, m.status.state])).toEqual([
    ['1', 'draining'],
    ['2', 'ready'],
  ]);
  expect(old.openSequences).toBe(1);
  expect(thrownBy(() => old.openSequence(sink(), { priority: 0 }))).toMatchObject({
    reason: 'DRAINING',
  });
  const gone = new Promise<void>((resolve) => {
    host.onChange(() => {
      if (host.models().length === 1) resolve();
    });
  });
  sequence.close();
  await gone;
  expect(host.models()).toEqual([fresh]);
});

test('a version that fails to load leaves the old one serving', async () => {
  put('one');
  let free = 2 ** 40;
  const host = await open({ availableMemory: () => free });
  await host.settled();
  const old = host.resolve('one');
  putVersion('one', '2');
  free = 1_000;
  await expect(host.load('one', '2')).rejects.toMatchObject({ reason: 'OUT_OF_MEMORY' });
  await expect(host.load('one', '3')).rejects.toMatchObject({ reason: 'MODEL_NOT_HERE' });
  await expect(host.load('none')).rejects.toMatchObject({ reason: 'MODEL_NOT_HERE' });
  expect(host.models()).toEqual([old]);
  expect(host.resolve('one')).toBe(old);
});

test('a model for which there was no memory at start serves when there is', async () => {
  put('one');
  let free = 1_000;
  const host = await open({ availableMemory: () => free, engines: { retryMs: 20 } });
  await host.settled();
  expect(host.models()[0]?.status).toMatchObject({
    state: 'failed',
    error: { reason: 'OUT_OF_MEMORY' },
  });
  free = 2 ** 40;
  await new Promise<void>((resolve) => {
    host.onChange(() => {
      if (host.models()[0]?.status.state === 'ready') resolve();
    });
  });
  expect(host.resolve('one').status.state).toBe('ready');
});

test('unload waits for sessions up to the deadline, then fails and counts them', async () => {
  put('one');
  const host = await open();
  await host.settled();
  const model = host.resolve('one');
  const failed: string[] = [];
  for (let i = 0; i < 3; i += 1)
    model.openSequence(
      sink((error) => failed.push(error.reason)),
      { priority: 0 },
    );
  const before = performance.now();
  await expect(host.unload('one', undefined, 200)).resolves.toBe(3);
  expect(performance.now() - before).toBeGreaterThan(190);
  expect(failed).toEqual(['DRAINING', 'DRAINING', 'DRAINING']);
  expect(host.models()).toEqual([]);
  expect(thrownBy(() => host.resolve('one'))).toMatchObject({ reason: 'MODEL_UNKNOWN' });
  await expect(host.unload('one', undefined, 0)).rejects.toMatchObject({
    reason: 'MODEL_NOT_HERE',
  });
  await host.load('one');
  await expect(host.unload('one', '1', 60_000)).resolves.toBe(0);
});

test('files that changed under a loaded model keep its engine from restarting as another', async () => {
  put('one');
  const host = await open({ engines: { restartMs: 1 } }, 'dies-at-turn');
  await host.settled();
  const model = host.resolve('one');
  const failed = new Promise<CabstandError>((resolve) => {
    const sequence = model.openSequence(sink(resolve), { priority: 0 });
    const file = path.join(folderOf('one'), 'model.yaml');
    writeFileSync(file, `${readFileSync(file, 'utf8')}\n# another\n`);
    sequence.startTurn(0, { prompt: '', parameters: {}, tensors: [], live: false });
  });
  await expect(failed).resolves.toMatchObject({ reason: 'ENGINE_CRASHED' });
  await new Promise<void>((resolve) => {
    host.onChange(() => {
      if (model.status.state === 'failed') resolve();
    });
  });
  expect(model.status).toMatchObject({
    error: {
      reason: 'MANIFEST_INVALID',
      message: expect.stringMatching(/^one: the files of version 1 changed/),
      metadata: { file: path.join('one', 'model.yaml') },
    },
  });
  // An explicit load takes the files as they are.
  const fresh = await host.load('one');
  expect(fresh.digest).not.toBe(model.digest);
  expect(host.resolve('one')).toBe(fresh);
});

test('folders of models that are gone are no mistake of whoever loads one, and are not named', async () => {
  put('one');
  const host = await open();
  await host.settled();
  rmSync(path.dirname(folderOf('one')), { recursive: true });
  await expect(host.load('one')).rejects.toMatchObject({
    ...{ reason: 'MODEL_FAILED', metadata: { model: 'one' } },
    message: 'this hoster cannot read its folders of models',
  });
});

test('stop in the middle of loads leaves nothing behind', async () => {
  put('one');
  put('two');
  const host = await open({}, 'hangs-at-load');
  await new Promise<void>((resolve) => {
    host.onChange(() => {
      const stages = host.models().map((m) => m.status);
      if (stages.some((s) => s.state === 'loading' && s.stage === 'starting')) resolve();
    });
  });
  await host.stop();
  await host.stop();
  expect(host.models()).toEqual([]);
  await expect(host.load('one')).rejects.toMatchObject({ reason: 'DRAINING' });
});
