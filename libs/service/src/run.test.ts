import { EventEmitter } from 'node:events';
import fs, { mkdtempSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { credentials, Client, Metadata } from '@grpc/grpc-js';
import { insecureLocal } from '@cabstand/auth';
import { CabstandError } from '@cabstand/core';
import { HealthService, RouterService, RpcClient } from '@cabstand/rpc';
import { z } from 'zod';
import { commonSections, serveRpc, superviseService } from './index';
import type { ProcessLike, Serving } from './index';

const schema = z.strictObject({
  ...commonSections({ listen: '127.0.0.1:0', admin: '127.0.0.1:0' }),
  max_nodes: z.int().min(1).default(10).describe('Most nodes.'),
});

class FakeProcess extends EventEmitter implements ProcessLike {
  readonly argv: readonly string[];
  out = '';
  err = '';
  readonly stdout = { write: (text: string) => (this.out += text) };
  readonly stderr = { write: (text: string) => (this.err += text) };
  constructor(
    args: readonly string[] = [],
    readonly env: Readonly<Record<string, string>> = { CABSTAND_LOG_LEVEL: 'silent' },
  ) {
    super();
    this.argv = ['node', 'service', ...args];
  }
}

/** Starts a router-like service; answers how it serves and how it ended. */
function launch(
  host: FakeProcess,
  onServing: (serving: Serving) => void,
  acquire: () => Promise<never> = () => Promise.reject(new CabstandError('NO_NODE', 'no node')),
): Promise<number> {
  return superviseService(
    {
      name: 'test service',
      service: 'test',
      summary: 'A service of a test.',
      common: ['max_nodes'],
      example: 'test service --config file.yaml',
      schema,
      start: async (context) => {
        const serving = await serveRpc(context, {
          authorizer: insecureLocal(),
          services: ['cabstand.v1.RouterService'],
          register: (server) => server.addService(RouterService, { rpc_acquire: acquire }),
        });
        setImmediate(() => onServing(serving));
      },
    },
    host,
  );
}

async function serving(host: FakeProcess): Promise<{ serving: Serving; code: Promise<number> }> {
  let code: Promise<number> = Promise.resolve(-1);
  const up = await new Promise<Serving>((resolve, reject) => {
    code = launch(host, resolve);
    code.then((early) => reject(new Error(`left with ${early}: ${host.err}`)), reject);
  });
  return { serving: up, code };
}

test('health, reflection, metrics and readiness are served until SIGTERM', async () => {
  const host = new FakeProcess();
  const { serving: up, code } = await serving(host);
  const client = new RpcClient(`127.0.0.1:${up.port}`);
  await expect(client.unary(HealthService.Check, {})).resolves.toEqual({ status: 'SERVING' });
  await expect(client.unary(HealthService.List, {})).resolves.toEqual({
    statuses: { '': { status: 'SERVING' }, 'cabstand.v1.RouterService': { status: 'SERVING' } },
  });
  await expect(client.unary(HealthService.Check, { service: 'x' })).rejects.toMatchObject({
    reason: 'SERVICE_UNKNOWN',
    code: 'NOT_FOUND',
  });
  await expect(client.unary(RouterService.rpc_acquire, {})).rejects.toMatchObject({
    reason: 'NO_NODE',
  });
  const watch = client.serverStream(HealthService.Watch, {});
  await expect(watch.next()).resolves.toMatchObject({ value: { status: 'SERVING' } });

  const names = await reflectedServices(up.port, 'v1');
  expect(names).toEqual(await reflectedServices(up.port, 'v1alpha'));
  expect(names.sort()).toEqual([
    'cabstand.v1.RouterService',
    'grpc.health.v1.Health',
    'grpc.reflection.v1.ServerReflection',
    'grpc.reflection.v1alpha.ServerReflection',
  ]);

  const base = `http://127.0.0.1:${up.adminPort}`;
  const metrics = await (await fetch(`${base}/metrics`)).text();
  expect(metrics).toMatch(
    /grpc_server_handled_total\{grpc_service="cabstand.v1.RouterService",grpc_method="rpc_acquire",grpc_type="unary",grpc_code="UNAVAILABLE",service="test"\} 1/,
  );
  expect(metrics).toMatch(
    /grpc_server_msg_sent_total\{grpc_service="grpc.health.v1.Health",grpc_method="Check"[^}]*\} 1/,
  );
  expect(metrics).toContain('cabstand_event_loop_lag_seconds');
  expect((await fetch(`${base}/readyz`)).status).toBe(200);
  expect((await fetch(`${base}/healthz`, { method: 'POST', body: 'x' })).status).toBe(405);
  expect((await fetch(`${base}/nothing`)).status).toBe(404);

  host.emit('SIGTERM');
  await expect(watch.next()).resolves.toMatchObject({ value: { status: 'NOT_SERVING' } });
  await expect(watch.next()).rejects.toMatchObject({ reason: 'DRAINING' });
  client.close();
  await expect(code).resolves.toBe(0);
});

/** Lists services with a plain gRPC client, bytes by hand: field 7 (list_services) of the request. */
async function reflectedServices(port: number, version: string): Promise<string[]> {
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  const path = `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`;
  const bytes = (value: Buffer): Buffer => value;
  const call = client.makeBidiStreamRequest(path, bytes, bytes, new Metadata());
  call.write(Buffer.from([0x3a, 0x01, 0x2a]));
  call.end();
  let text = '';
  for await (const chunk of call) text += (chunk as Buffer).toString('latin1');
  client.close();
  return (
    text.match(/(?:cabstand|grpc)\.[a-z0-9.]+\.(?:\w+Service|Health|ServerReflection)\b/g) ?? []
  );
}

test('a second signal leaves at once, with a failure', async () => {
  const host = new FakeProcess();
  let release = (): void => undefined;
  const code = superviseService(
    {
      name: 'test',
      service: 'test',
      summary: '',
      schema,
      start: ({ closers }) => {
        closers.add('stuck', 60_000, () => new Promise<void>((resolve) => (release = resolve)));
        setImmediate(() => host.emit('SIGINT'));
        setTimeout(() => host.emit('SIGINT'), 20);
        return Promise.resolve();
      },
    },
    host,
  );
  await expect(code).resolves.toBe(1);
  release();
});

test('a service whose work is over closes everything and ends with 0', async () => {
  const closed: string[] = [];
  const code = superviseService(
    {
      name: 'test',
      service: 'test',
      summary: '',
      schema,
      start: ({ closers, end }) => {
        closers.add('work', 1000, () => Promise.resolve(closed.push('work')));
        setImmediate(() => end('nothing is left to do'));
        return Promise.resolve();
      },
    },
    new FakeProcess(),
  );
  await expect(code).resolves.toBe(0);
  expect(closed).toEqual(['work']);
});

test('a port in use ends with 3, a bad setting with 2', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => other.once('listening', resolve));
  const { port } = other.address() as { port: number };
  const host = new FakeProcess(['--listen', `127.0.0.1:${port}`]);
  await expect(launch(host, () => undefined)).resolves.toBe(3);
  other.close();

  const wrong = new FakeProcess(['--max-nodes', 'many']);
  await expect(launch(wrong, () => undefined)).resolves.toBe(2);
  expect(wrong.err).toMatch(/max_nodes \(flag --max-nodes\): .*got "many"/);
});

test('binding beyond loopback without credentials is refused', async () => {
  const host = new FakeProcess(['--listen', '0.0.0.0:0']);
  await expect(launch(host, () => undefined)).resolves.toBe(2);
});

test('a rejection nobody handled ends the service as failed', async () => {
  const host = new FakeProcess();
  const { code } = await serving(host);
  host.emit('unhandledRejection', new Error('lost'));
  await expect(code).resolves.toBe(1);
});

test('the configuration can be asked for, without secrets', async () => {
  const file = path.join(mkdtempSync(path.join(tmpdir(), 'cabstand-')), 'c.yaml');
  writeFileSync(file, 'auth: {mode: keys, token: hush}\nmax_nodes: 3\n');
  const host = new FakeProcess(['--config', file, '--print-config', '--max-nodes=4']);
  await expect(launch(host, () => undefined)).resolves.toBe(0);
  expect(host.out).toContain('max_nodes: 4');
  expect(host.out).not.toContain('hush');
});

test('--help: usage, common settings, groups with a meaning for each flag, an example', async () => {
  const host = new FakeProcess(['--help']);
  await expect(launch(host, () => undefined)).resolves.toBe(0);
  const order = ['Usage: test service', '\nCommon settings', '\nSettings of auth', '\nExample:'];
  const at = order.map((title) => host.out.indexOf(title));
  expect(at).toEqual([...at].sort((a, b) => a - b));
  expect(at).not.toContain(-1);
  expect(host.out).toMatch(
    /Common settings\n\n {2}--max-nodes <number>\n\s+Most nodes\.\n\s+max_nodes, default: 10\n\n/,
  );
  // Two lines at least beside the flag's own: what it means, and its key with the default.
  const flags = host.out.split(/\n {2}(?=--)/).slice(1);
  expect(flags.length).toBeGreaterThan(30);
  for (const flag of flags)
    expect(flag).toMatch(/^--.*\n {6}\S.*\n {6}\S|^--(config|print-config)/);
});

/** Lines that a service writes to standard output, as `isTTY` says. */
async function linesOf(
  isTTY: boolean,
  run: (host: FakeProcess) => Promise<number>,
  args: readonly string[],
): Promise<string[]> {
  let text = '';
  const spy = jest.spyOn(fs, 'writeSync').mockImplementation((_fd, bytes) => {
    text += bytes;
    return Buffer.byteLength(bytes);
  });
  try {
    const host = new FakeProcess(args, { NO_COLOR: '1' });
    await run(Object.assign(host, { stdout: { write: () => undefined, isTTY } }));
  } finally {
    spy.mockRestore();
  }
  return text.trimEnd().split('\n');
}

describe('a service that cannot start', () => {
  const start = (host: FakeProcess): Promise<number> => launch(host, () => undefined);
  const missing = (host: FakeProcess): Promise<number> =>
    superviseService(
      {
        name: 'test',
        service: 'test',
        summary: '',
        schema,
        start: () =>
          Promise.reject(
            new CabstandError('INVALID_ARGUMENT', '/k.json: there is no such file', {
              metadata: { file: '/k.json' },
            }),
          ),
      },
      host,
    );

  test('says so in one line on a terminal, with what to do', async () => {
    expect(await linesOf(true, start, ['--listen', '0.0.0.0:0'])).toEqual([
      expect.stringMatching(
        /^\d\d:\d\d:\d\d FATAL listen is 0\.0\.0\.0:0, .*Set auth\.mode to "keys"/,
      ),
    ]);
    expect(await linesOf(true, missing, [])).toEqual([
      expect.stringMatching(/FATAL \/k\.json: there is no such file\. .*`cabstand keys init`/),
    ]);
  });

  test('and in one JSON line elsewhere, without a stack', async () => {
    const lines = await linesOf(false, missing, []);
    expect(lines).toHaveLength(1);
    const fatal = JSON.parse(lines[0] ?? '') as object;
    expect(fatal).toMatchObject({ level: 'fatal', reason: 'INVALID_ARGUMENT' });
    expect(JSON.stringify(fatal)).not.toContain('    at ');
  });

  test('has a stack in the log if nobody expected it', async () => {
    const bug = (host: FakeProcess): Promise<number> =>
      superviseService(
        {
          name: 'test',
          service: 'test',
          summary: '',
          schema,
          start: () => Promise.reject(new TypeError('x is undefined')),
        },
        host,
      );
    const [line = '', ...rest] = await linesOf(false, bug, []);
    expect(rest).toEqual([]);
    expect(JSON.parse(line)).toMatchObject({ msg: 'x is undefined', err: { type: 'TypeError' } });
  });
});

test('the format of the log can be chosen', async () => {
  const start = (host: FakeProcess): Promise<number> => launch(host, () => undefined);
  const wrong = ['--listen', '0.0.0.0:0', '--log-format'];
  expect(await linesOf(true, start, [...wrong, 'json'])).toEqual([expect.stringMatching(/^\{/)]);
  expect(await linesOf(false, start, [...wrong, 'pretty'])).toEqual([
    expect.stringMatching(/^\d\d:\d\d:\d\d FATAL/),
  ]);
});
