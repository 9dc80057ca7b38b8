/** The hoster as the process that people start. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { CabstandError } from '@cabstand/core';
import { HealthService, HosterService, RpcClient } from '@cabstand/rpc';
import {
  BUNDLED,
  audioTurn,
  epoch,
  hear,
  probabilities,
  speech,
  until,
} from './handlers/harness.fixture';
import { ScriptedRouter } from './presence/router.fixture';

const MAIN = path.resolve(__dirname, '../dist/main.js');
const FRAME = 512;

interface Running {
  readonly child: ChildProcess;
  readonly output: () => string;
  readonly exit: Promise<number | null>;
}

const running: Running[] = [];
afterEach(async () => {
  for (const { child, exit } of running.splice(0)) {
    child.kill('SIGKILL');
    await exit;
  }
});

function start(...flags: string[]): Running {
  const child = spawn(process.execPath, [MAIN, '--models', BUNDLED, ...flags], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (data: Buffer) => (output += data.toString()));
  const exit = new Promise<number | null>((resolve) => child.on('exit', resolve));
  const one = { child, exit, output: () => output };
  running.push(one);
  return one;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

test('serves, says which models are healthy, and lets a running turn finish when told to stop', async () => {
  const [port, admin] = [await freePort(), await freePort()];
  const hoster = start(
    ...['--listen', `127.0.0.1:${port}`, '--admin-listen', `127.0.0.1:${admin}`],
    ...['--only', 'silero-vad'],
  );
  await until(() => hoster.output().includes('hoster is up'), 30_000);
  const client = new RpcClient(`127.0.0.1:${port}`);
  try {
    const { statuses } = await client.unary(HealthService.List, {});
    expect(statuses).toMatchObject({
      '': { status: 'SERVING' },
      'cabstand.v1.HosterService': { status: 'SERVING' },
      'cabstand.v1.HosterService/silero-vad': { status: 'SERVING' },
    });
    const metrics = await (await fetch(`http://127.0.0.1:${admin}/metrics`)).text();
    expect(metrics).toMatch(
      /^cabstand_model_info\{.*model="silero-vad".*batch_class="exact",reference="golden".*\} 1$/m,
    );
    expect(metrics).toMatch(/^cabstand_slots\{.*model="silero-vad".*\} 1024$/m);
    expect(metrics).toMatch(/^cabstand_free_slots\{.*model="silero-vad".*\} 973$/m);
    expect(metrics).toMatch(/^cabstand_resume_slots\{.*model="silero-vad".*\} 51$/m);

    const audio = speech();
    const long = new Float32Array(FRAME * 3000);
    for (let at = 0; at + audio.length <= long.length; at += audio.length) long.set(audio, at);
    const stream = client.serverStream(HosterService.rpc_inference_stream, audioTurn(long));
    await stream.ready();
    const reading = hear(stream);
    hoster.child.kill('SIGTERM');
    await until(() => hoster.output().includes('"stopping"'));
    const refused = hear(client.serverStream(HosterService.rpc_inference_stream, audioTurn(audio)));
    await expect(refused).rejects.toMatchObject({ reason: 'DRAINING' });
    const { records, notices } = await reading;
    expect(probabilities(records)).toHaveLength(3000);
    expect(records.at(-1)?.end_of_turn?.reason).toBe('END_REASON_COMPLETED');
    expect(notices.some(({ draining }) => draining)).toBe(true);
    expect(await hoster.exit).toBe(0);
    expect(hoster.output()).toContain('"clean":true');
  } finally {
    client.close();
  }
}, 60_000);

test.each([
  ['that moves when it is asked to', true],
  ['that does not answer, at the deadline', false],
])(
  'leaves with a durable stream %s, and without waiting for the turn',
  async (_what, answers) => {
    const port = await freePort();
    const hoster = start(
      ...['--listen', `127.0.0.1:${port}`, '--admin-listen', '127.0.0.1:0'],
      ...['--only', 'silero-vad', '--shutdown-seconds', answers ? '30' : '1'],
    );
    await until(() => hoster.output().includes('hoster is up'), 30_000);
    const client = new RpcClient(`127.0.0.1:${port}`);
    try {
      const named = { session_id: 's', epoch: epoch() };
      const audio = speech();
      // Nothing is acknowledged: it would go on for ever.
      const stream = client.serverStream(
        HosterService.rpc_inference_stream,
        audioTurn(audio, { ...named, durable: true }),
      );
      let position = -1;
      let checkpoint: number | undefined;
      let told: Promise<number> | undefined;
      let ended: CabstandError | undefined;
      try {
        for await (const { record, notice } of stream) {
          if (record) position = record.position;
          if (position === 20 && told === undefined) {
            told = Promise.resolve(-1);
            hoster.child.kill('SIGTERM');
          }
          checkpoint = notice?.checkpoint?.checkpoint?.position ?? checkpoint;
          if (notice?.draining && answers)
            told = client
              .unary(HosterService.rpc_session_update, { ...named, handover: {} })
              .then((answer) => answer.checkpoint?.position ?? -2);
        }
      } catch (error) {
        ended = CabstandError.from(error);
      }
      expect(ended).toMatchObject({
        reason: 'SESSION_EVICTED',
        metadata: { end_reason: 'migrated' },
      });
      expect(checkpoint).toBe(position + 1);
      expect(await told).toBe(answers ? position + 1 : -1);
      expect(await hoster.exit).toBe(0);
    } finally {
      client.close();
    }
  },
  60_000,
);

test('a model that takes for ever to read holds up neither the start of the others nor the stop', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'hm-'));
  try {
    cpSync(path.join(BUNDLED, 'g2p'), path.join(folder, 'slow'), { recursive: true });
    const manifest = path.join(folder, 'slow/model.yaml');
    writeFileSync(manifest, readFileSync(manifest, 'utf8').replace('name: g2p', 'name: slow'));
    // Hours of zeros to hash, which take no room.
    writeFileSync(path.join(folder, 'slow/1/weights.bin'), '');
    truncateSync(path.join(folder, 'slow/1/weights.bin'), 2 ** 42);
    const hoster = start(
      ...['--models', folder, '--only', 'silero-vad,slow', '--start-wait-seconds', '0'],
      ...[
        '--listen',
        `127.0.0.1:${await freePort()}`,
        '--admin-listen',
        `127.0.0.1:${await freePort()}`,
      ],
    );
    await until(() => hoster.output().includes('hoster is up'), 30_000);
    expect(hoster.output()).toContain('"models":["silero-vad@1 (cpu)"]');
    hoster.child.kill('SIGTERM');
    expect(await hoster.exit).toBe(0);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}, 60_000);

test('a router drains it, takes that back, and drains it for good: it ends when nobody is left', async () => {
  const router = await ScriptedRouter.start();
  const port = await freePort();
  const hoster = start(
    ...['--listen', `127.0.0.1:${port}`, '--admin-listen', '127.0.0.1:0'],
    ...['--only', 'silero-vad', '--routers', router.address],
  );
  const client = new RpcClient(`127.0.0.1:${port}`);
  try {
    await until(() => router.beats.length > 0, 30_000);
    const named = { session_id: 's', epoch: epoch() };
    const turn = audioTurn(speech(), { ...named, keep_session: true });
    await hear(client.serverStream(HosterService.rpc_inference_stream, turn));
    const drain = { drain: true, drain_deadline: { seconds: 600, nanos: 0 } };
    router.wish(drain);
    await until(() => router.beats.at(-1)?.draining === true);
    const refused = hear(
      client.serverStream(HosterService.rpc_inference_stream, audioTurn(speech())),
    );
    await expect(refused).rejects.toMatchObject({ reason: 'DRAINING' });
    router.wish({ undrain: true });
    await until(() => router.beats.at(-1)?.draining === false);
    await expect(client.unary(HealthService.Check, {})).resolves.toEqual({ status: 'SERVING' });
    await hear(client.serverStream(HosterService.rpc_inference_stream, audioTurn(speech())));

    router.wish(drain);
    await until(() => router.beats.at(-1)?.draining === true);
    expect(hoster.child.exitCode).toBeNull();
    await client.unary(HosterService.rpc_close_session, named);
    expect(await hoster.exit).toBe(0);
    expect(router.deregistered).toHaveLength(1);
    expect(hoster.output()).toContain('"clean":true');
  } finally {
    client.close();
    await router.stop();
  }
}, 60_000);

test('a model that failed, and a version that still serves a session, are seen from outside', async () => {
  const models = mkdtempSync(path.join(tmpdir(), 'cabstand-models-'));
  const put = (name: string): string => {
    const folder = path.join(models, name);
    cpSync(path.join(BUNDLED, 'silero-vad'), folder, { recursive: true });
    const file = path.join(folder, 'model.yaml');
    writeFileSync(file, readFileSync(file, 'utf8').replace('name: silero-vad', `name: ${name}`));
    return folder;
  };
  const good = put('good');
  const golden = path.join(put('wrong'), 'golden.json');
  // The last answer is another one.
  writeFileSync(golden, readFileSync(golden, 'utf8').replace('AIiDOQ==', 'AACAPw=='));
  writeFileSync(path.join(put('torn'), 'model.yaml'), 'name: [torn');
  const router = await ScriptedRouter.start();
  const [port, admin] = [await freePort(), await freePort()];
  start(
    ...['--listen', `127.0.0.1:${port}`, '--admin-listen', `127.0.0.1:${admin}`],
    ...['--models', models, '--only', 'good,wrong,torn', '--routers', router.address],
  );
  const client = new RpcClient(`127.0.0.1:${port}`);
  const states = async (): Promise<string[]> => {
    const text = await (await fetch(`http://127.0.0.1:${admin}/metrics`)).text();
    const found = /^cabstand_model_state\{model="(\w+)",version="(\w*)",state="(\w+)",.*\} 1$/gm;
    return [...text.matchAll(found)].map(([, ...labels]) => labels.join(' ')).sort();
  };
  const told = (): string[] =>
    (router.beats.findLast(({ models_changed: changed }) => changed) ??
      router.registered.at(-1))!.other_models
      .map(({ name, version, state }) => `${name} ${version} ${state}`)
      .sort();
  const failed = ['torn  MODEL_STATE_FAILED', 'wrong 1 MODEL_STATE_FAILED'];
  try {
    await until(() => router.beats.length > 0, 30_000);
    expect(await states()).toEqual(['good 1 ready', 'torn  failed', 'wrong 1 failed']);
    expect(told()).toEqual(failed);
    const { models: infos } = await client.unary(HosterService.rpc_info, {});
    const why = new Map(infos.map(({ offer, failure }) => [offer?.name, failure]));
    expect(why.get('good')).toBe('');
    expect(why.get('wrong')).toContain('golden');
    expect(why.get('torn')).toContain('model.yaml');

    const named = { session_id: 's', epoch: epoch() };
    const turn = { ...audioTurn(speech(), { ...named, keep_session: true }), model: 'good' };
    await hear(client.serverStream(HosterService.rpc_inference_stream, turn));
    cpSync(path.join(good, '1'), path.join(good, '2'), { recursive: true });
    await client.unary(HosterService.rpc_load_model, { model: 'good' }, { timeoutMs: 30_000 });
    expect(await states()).toContain('good 1 draining');
    expect(await states()).toContain('good 2 ready');
    await until(() => told().includes('good 1 MODEL_STATE_DRAINING'));
    await client.unary(HosterService.rpc_close_session, named);
    await until(() => told().join() === failed.join());
    expect(await states()).toEqual(['good 2 ready', 'torn  failed', 'wrong 1 failed']);
  } finally {
    client.close();
    await router.stop();
    rmSync(models, { recursive: true, force: true });
  }
}, 60_000);

test.each([
  ['a port in use', 3, /in use/, async (taken: number) => [`127.0.0.1:${taken}`]],
  [
    'an address that nobody can dial',
    2,
    /advertise/,
    async () => ['0.0.0.0:0', '--routers', '127.0.0.1:1'],
  ],
  ['an open door', 2, /auth\.mode/, async () => ['0.0.0.0:0']],
  ['no such models', 2, /nowhere/, async () => ['127.0.0.1:0', '--models', '/nowhere']],
  ['an unknown flag', 2, /--modles/, async () => ['127.0.0.1:0', '--modles', 'x']],
])('%s ends the start with an exit code and a reason', async (_what, code, message, flags) => {
  const blocker = createServer();
  await new Promise<void>((resolve) => blocker.listen(0, '127.0.0.1', resolve));
  const taken = (blocker.address() as AddressInfo).port;
  try {
    const hoster = start('--admin-listen', '127.0.0.1:0', '--listen', ...(await flags(taken)));
    expect(await hoster.exit).toBe(code);
    expect(hoster.output()).toMatch(message);
  } finally {
    await new Promise((resolve) => blocker.close(resolve));
  }
});
