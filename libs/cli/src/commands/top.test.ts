/** `top` against a router that says what a test tells it, on terminals that are none. */
import { mkdirSync } from 'node:fs';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { PassThrough } from 'node:stream';
import { RouterService, RpcServer } from '@cabstand/rpc';
import type { Authorizer, v1 } from '@cabstand/rpc';
import { until } from '@cabstand/testing';
import { Folder, standInEmptyFolder } from '../folder.fixture';
import { runCli } from '../program';

standInEmptyFolder();
const folder = new Folder();

const everybody: Authorizer = {
  signRequest: () => Promise.resolve({}),
  validateRequest: () => Promise.resolve({ id: 'me', roles: new Set(['client']) }),
  signResponse: () => Promise.resolve({}),
  validateResponse: () => Promise.resolve(),
};

const servers: RpcServer[] = [];
const pages: Server[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.shutdown(1)));
  for (const page of pages.splice(0)) page.close();
});
afterAll(() => folder.remove());

const online = (id: string): v1.NodeInfo => ({ node_id: id, state: 'NODE_STATE_ONLINE' });

/** Tells of these nodes, and of no more until the caller leaves. */
async function router(
  nodes: readonly v1.NodeInfo[],
  port = 0,
): Promise<{ server: RpcServer; port: number }> {
  const server = new RpcServer({ authorizer: everybody });
  servers.push(server);
  server.addService(RouterService, {
    rpc_locate: () => ({}),
    rpc_watch_nodes: async (_request, { signal }, out) => {
      await out.write({ snapshot: true, nodes: [...nodes] });
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
    },
  });
  return { server, port: await server.listen(`127.0.0.1:${port}`) };
}

/** A page of metrics whose counter goes up by 10 each time. */
async function metrics(token?: string): Promise<string> {
  let records = 0;
  const page = createServer((request, response) => {
    const admitted = token === undefined || request.headers.authorization === `Bearer ${token}`;
    response.statusCode = admitted ? 200 : 401;
    response.end(`cabstand_records_total{model="g2p"} ${(records += 10)}\n`);
  });
  pages.push(page);
  await new Promise<void>((resolve) => page.listen(0, '127.0.0.1', resolve));
  return `127.0.0.1:${(page.address() as AddressInfo).port}`;
}

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs `top` on a terminal, and gives it keys once a picture shows what is waited for. */
function onTerminal(args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const tty = { isTTY: true, columns: 80, rows: 24 };
  const stdout = Object.assign(new PassThrough(), tty);
  const raw: boolean[] = [];
  const stdin = Object.assign(new PassThrough(), {
    isTTY: true,
    setRawMode: (mode: boolean) => raw.push(mode),
  });
  let out = '';
  stdout.on('data', (text: Buffer) => (out += text.toString()));
  const stopping = new AbortController();
  const ran = runCli(['top', '--interval', '50ms', ...args], {
    stdout,
    stderr: new PassThrough(),
    stdin: stdin as unknown as NodeJS.ReadStream,
    env,
    signal: stopping.signal,
  });
  return {
    ran,
    stopping,
    raw,
    type: (keys: string) => stdin.write(keys),
    shows: (text: string) =>
      until(text, () => out.includes(text) || undefined, { explain: () => out }),
    /** What is on the screen now. */
    screen: () => out.slice(out.lastIndexOf('\u001b[H')),
    output: () => out,
  };
}

async function run(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Ran> {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const { signal } = new AbortController();
  const streams = { stdout, stderr, stdin: process.stdin, env, signal };
  const code = await runCli(['top', '--interval', '50ms', ...args], streams);
  const text = (stream: PassThrough): string => ((stream.read() as Buffer | null) ?? '').toString();
  return { code, out: text(stdout), err: text(stderr) };
}

test.each([
  ['q', 0],
  ['\u0003', 130],
])('%j ends it with %d, and the terminal is as it was', async (key, code) => {
  const { port } = await router([online('h-1')]);
  const top = onTerminal(['--router', `127.0.0.1:${port}`], { NO_COLOR: '1' });
  await top.shows('h-1');
  top.type('x');
  top.type(key);
  expect(await top.ran).toBe(code);
  expect(top.raw).toEqual([true, false]);
  expect(top.output().startsWith('\u001b[?1049h')).toBe(true);
  expect(top.output().endsWith('\u001b[?1049l')).toBe(true);
  // eslint-disable-next-line no-control-regex -- colours begin with it
  expect(top.output()).not.toMatch(/\u001b\[\d*m/);
});

test('a signal ends it, too, and a terminal that cannot be redrawn gets one picture below the other', async () => {
  const { port } = await router([online('h-1')]);
  const top = onTerminal(['--router', `127.0.0.1:${port}`], { TERM: 'dumb' });
  await top.shows('h-1');
  top.stopping.abort();
  expect(await top.ran).toBe(130);
  expect(top.output()).not.toContain('\u001b');
});

test('a router that goes and comes again is followed, and what was there before stays meanwhile', async () => {
  const first = await router([online('h-1')]);
  const top = onTerminal(['--router', `127.0.0.1:${first.port}`]);
  await top.shows('h-1');
  await first.server.shutdown(1);
  await top.shows('! as of before: no router answers');
  expect(top.screen()).toContain('h-1');
  await router([online('h-2')], first.port);
  await top.shows('h-2');
  top.type('q');
  expect(await top.ran).toBe(0);
});

test('in a pipe it is one JSON object, with rates from two looks at the metrics', async () => {
  const { port } = await router([online('h-1')]);
  const token = folder.write('token', 'a secret of the admin ports\n');
  const admin = await metrics('a secret of the admin ports');
  const args = ['--router', `127.0.0.1:${port}`, '--metrics', admin];
  const { code, out } = await run([...args, '--metrics-token-file', token]);
  expect(code).toBe(0);
  const view = JSON.parse(out) as { flow: { records_per_second: number } };
  expect(view).toMatchObject({
    nodes_by_state: { ONLINE: 1 },
    nodes: [{ node: 'h-1' }],
    silent: [],
  });
  expect(view.flow.records_per_second).toBeGreaterThan(0);
  expect(JSON.parse((await run(args)).out)).toMatchObject({
    flow: null,
    silent: [{ error: 'HTTP 401: wrong or no token (--metrics-token-file)' }],
  });
});

test('metrics of a local subnet are found by the address of its router, and not those of another', async () => {
  const { port } = await router([online('h-1')]);
  const admin = await metrics();
  const config = (listen: string) => JSON.stringify({ listen, admin: { listen: admin } });
  const data = new Folder();
  try {
    mkdirSync(`${data.path}/config`);
    data.write('config/router.yaml', config(`127.0.0.1:${port}`));
    const args = ['--router', `127.0.0.1:${port}`, '--data', data.path];
    expect(JSON.parse((await run(args)).out)).toMatchObject({
      flow: { window_seconds: expect.any(Number) as number },
    });
    data.write('config/router.yaml', config('127.0.0.1:1'));
    expect(JSON.parse((await run(args)).out)).toMatchObject({ flow: null, silent: [] });
  } finally {
    data.remove();
  }
});

test.each([
  [['--metrics', 'host'], 2, '--metrics host: expected HOST:PORT'],
  [['--metrics-token-file', 'nowhere', '--metrics', 'h:1'], 2, 'nowhere cannot be read'],
  [['--router', '127.0.0.1:1'], 4, 'no router answers'],
])('%j is told in plain words', async (args, code, message) => {
  expect(await run(args)).toMatchObject({ code, err: expect.stringContaining(message) as string });
});
