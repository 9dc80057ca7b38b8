/** Services that may open only a few files: real processes under `ulimit -n`. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { RemoteManager, SessionManager } from '@cabstand/client';
import { HosterService, RouterService, RpcClient } from '@cabstand/rpc';
import { REPOSITORY_ROOT, TEST_MODELS, freePorts, until } from '@cabstand/testing';
import { drain } from '../support/drain';
import { childrenOf } from '../support/processes';

const MODEL = 'accumulator';
const LIMIT = 80;

const folder = mkdtempSync(path.join(tmpdir(), 'cabstand-files-'));
const sockets: Socket[] = [];
const children: ChildProcess[] = [];

afterAll(async () => {
  release();
  for (const child of children) {
    if (child.exitCode !== null) continue;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    await gone;
  }
  rmSync(folder, { recursive: true, force: true });
});

interface Started {
  readonly child: ChildProcess;
  readonly address: string;
  readonly said: () => string;
}

async function start(kind: 'router' | 'hoster', settings: object): Promise<Started> {
  const [port, admin] = (await freePorts(2)).map((free) => `127.0.0.1:${String(free)}`);
  const config = { listen: port, admin: { listen: admin }, auth: { mode: 'none' }, ...settings };
  const file = path.join(folder, `${kind}.yaml`);
  writeFileSync(file, JSON.stringify(config));
  const entry = path.join(REPOSITORY_ROOT, 'services', kind, 'dist/main.js');
  const limited = `ulimit -n ${LIMIT}; exec "$0" "$@"`;
  const child = spawn('bash', ['-c', limited, process.execPath, entry, '--config', file]);
  children.push(child);
  let text = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (bytes: Buffer) => (text += bytes.toString()));
  await until(`${kind} to be ready`, async () =>
    (await fetch(`http://${admin ?? ''}/readyz`)).ok ? true : undefined,
  );
  return { child, address: port ?? '', said: () => text };
}

/** Connections that are held open; by default more than there are descriptors. */
function crowd(address: string, count = LIMIT): void {
  const [host, port] = address.split(':');
  for (let i = 0; i < count; i++) {
    const socket = connect(Number(port), host);
    socket.on('error', () => undefined);
    sockets.push(socket);
  }
}

function release(): void {
  for (const socket of sockets.splice(0)) socket.destroy();
}

const EXHAUSTED = new RegExp(`out of file descriptors \\(limit ${LIMIT}\\).*ulimit -n`);

test('a router without file descriptors says so, lives, and serves again', async () => {
  const { child, address, said } = await start('router', {});
  crowd(address);
  await until('the router to say so', () => Promise.resolve(EXHAUSTED.test(said()) || undefined));
  release();
  const client = new RpcClient(address, {});
  const reason = await until('an answer', () =>
    client.unary(RouterService.rpc_locate, { session_id: 'x' }).then(({ locations }) => locations),
  );
  expect(reason).toEqual([]);
  client.close();
  expect([child.exitCode, child.signalCode]).toEqual([null, null]);
}, 30_000);

test('a hoster without file descriptors says why an engine cannot start, and serves again', async () => {
  const { child, address, said } = await start('hoster', {
    ...{ models: TEST_MODELS, only: [MODEL], routers: [] },
    engines: { spares: 0, restart_seconds: 0.05, crashes: 50 },
  });
  const client = new RpcClient(address, {});
  const models = () => client.unary(HosterService.rpc_info, {}).then((info) => info.models);
  expect((await models())[0]?.state).toBe('MODEL_STATE_READY');
  crowd(address);
  await until('the hoster to say so', () => Promise.resolve(EXHAUSTED.test(said()) || undefined));
  const [engine] = childrenOf(child.pid ?? 0);
  process.kill(engine ?? 0, 'SIGKILL');
  await until(
    'the engine to fail to start',
    () => {
      // The descriptors that the engine had are taken at once.
      crowd(address, 8);
      return Promise.resolve(said().includes('OUT_OF_DESCRIPTORS') || undefined);
    },
    { timeoutMs: 8000, explain: said },
  );
  expect(said()).not.toMatch(/TypeError|"INTERNAL"/);
  release();
  const remote = new RemoteManager({ hosters: [address] });
  const sessions = new SessionManager(remote);
  await until('the model to serve again', async () => {
    const session = sessions.session({ model: MODEL });
    const signal = new Float32Array(8);
    return (await drain(session.runProtocolTask(undefined, { signal }))) === 2 || undefined;
  });
  await sessions.close();
  await remote.close();
  client.close();
  expect([child.exitCode, child.signalCode]).toEqual([null, null]);
}, 60_000);
