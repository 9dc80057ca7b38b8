/** `drain` and `undrain` against a router that says what a test tells it. */
import { PassThrough } from 'node:stream';
import { CabstandError } from '@cabstand/core';
import { HosterService, RouterService, RpcServer } from '@cabstand/rpc';
import type { Authorizer, v1 } from '@cabstand/rpc';
import { standInEmptyFolder } from '../folder.fixture';
import { runCli } from '../program';

standInEmptyFolder();

const everybody: Authorizer = {
  signRequest: () => Promise.resolve({}),
  validateRequest: () => Promise.resolve({ id: 'admin', roles: new Set(['admin']) }),
  signResponse: () => Promise.resolve({}),
  validateResponse: () => Promise.resolve(),
};

const DRAINING = { state: 'NODE_STATE_DRAINING' } as const;
const ONLINE = { state: 'NODE_STATE_ONLINE' } as const;
const gone: v1.NodeInfo = {
  state: 'NODE_STATE_OFFLINE',
  state_reasons: ['deregistered: it stops'],
};

function node(more: v1.NodeInfo = {}): v1.NodeInfo {
  return { node_id: 'h', incarnation: 'i-1', load: { open_sessions: 3 }, ...more };
}

interface Router {
  readonly address: string;
  readonly asked: v1.DrainRequest__Output[];
}

const servers: RpcServer[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.shutdown(1)));
});

/** Answers a drain with the first of these, and a watch with all of them, or with those that are shown. */
async function router(
  changes: readonly (v1.NodeInfo | 'removed')[],
  shown: readonly (v1.NodeInfo | 'removed')[] = changes,
): Promise<Router> {
  const server = new RpcServer({ authorizer: everybody });
  servers.push(server);
  const asked: v1.DrainRequest__Output[] = [];
  server.addService(RouterService, {
    rpc_drain: (request) => {
      asked.push(request);
      const [first] = changes;
      if (first === undefined || first === 'removed')
        throw new CabstandError('NODE_UNKNOWN', 'no node h that is alive');
      return { node: first };
    },
    rpc_locate: () => ({}),
    rpc_watch_nodes: async (_request, _call, out) => {
      for (const [i, change] of shown.entries())
        await out.write(
          change === 'removed'
            ? { removed_node_ids: ['h'] }
            : { snapshot: i === 0, nodes: [change] },
        );
    },
  });
  const port = await server.listen('127.0.0.1:0');
  return { address: `127.0.0.1:${port}`, asked };
}

async function run(
  ...args: readonly string[]
): Promise<{ readonly code: number; readonly out: string; readonly err: string }> {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const { signal } = new AbortController();
  const code = await runCli(args, { stdout, stderr, stdin: process.stdin, env: {}, signal });
  const text = (stream: PassThrough): string => ((stream.read() as Buffer | null) ?? '').toString();
  return { code, out: text(stdout), err: text(stderr) };
}

test('drain says what the router says and does not wait', async () => {
  const { address, asked } = await router([node(DRAINING), node(gone)]);
  const ran = await run('drain', 'h', '--deadline', '5m', '--router', address);
  expect(ran).toEqual({ code: 0, out: 'h is DRAINING, 3 sessions are left\n', err: '' });
  expect(asked).toEqual([{ node_id: 'h', deadline: { seconds: 300, nanos: 0 }, undo: false }]);
});

test.each([
  ['goes offline', node(gone), 'h is gone (deregistered: it stops)\n'],
  ['is forgotten', 'removed', 'h is gone\n'],
  // A supervisor has started it again.
  ['is another process', node({ incarnation: 'i-2', ...ONLINE }), 'h is gone\n'],
] as const)('drain --wait ends when the hoster %s', async (_how, last, line) => {
  const one = node({ ...DRAINING, load: { open_sessions: 1 } });
  const { address } = await router([node(DRAINING), one, last]);
  const ran = await run('drain', 'h', '--wait', '--router', address);
  expect(ran).toEqual({ code: 0, out: `h is DRAINING, 3 sessions are left\n${line}`, err: '' });
});

test('drain --wait fails where somebody takes the drain back, or the router goes', async () => {
  const back = await router([node(DRAINING), node(ONLINE)]);
  const taken = await run('drain', 'h', '--wait', '--router', back.address);
  expect(taken).toMatchObject({ code: 1 });
  expect(taken.err).toContain('the drain of h was taken back');
  const ends = await router([node(DRAINING)]);
  const lost = await run('drain', 'h', '--wait', '--router', ends.address);
  expect(lost).toMatchObject({ code: 4 });
  expect(lost.err).toContain('the router ended the watch');
});

test.each([
  ['answers', 'i-1', 1, 'the router shows only some of its nodes'],
  ['is another process by now', 'i-2', 0, ''],
])('a hoster that the router does not show, and that %s', async (_what, incarnation, code, err) => {
  const hoster = new RpcServer({ authorizer: everybody });
  servers.push(hoster);
  hoster.addService(HosterService, { rpc_info: () => ({ incarnation }) });
  const address = `127.0.0.1:${await hoster.listen('127.0.0.1:0')}`;
  const other = node({ ...ONLINE, node_id: 'other' });
  const one = await router([node({ ...DRAINING, address })], [other]);
  const ran = await run('drain', 'h', '--wait', '--router', one.address);
  expect(ran.code).toBe(code);
  expect(ran.err).toContain(err);
  expect(ran.out.includes('h is gone')).toBe(code === 0);
});

test('undrain asks every router, and waits until the hoster takes sessions', async () => {
  const one = await router([node(DRAINING), node(DRAINING), node(ONLINE)]);
  // It has never heard of the node.
  const two = await router([]);
  const routers = [one.address, two.address, '127.0.0.1:1'];
  const ran = await run('undrain', 'h', '--router', routers.join(','));
  expect(ran).toMatchObject({ code: 0, out: 'h is ONLINE, 3 sessions are open\n' });
  expect(ran.err).toContain('the router at 127.0.0.1:1 does not answer');
  for (const { asked } of [one, two])
    expect(asked).toEqual([{ node_id: 'h', deadline: null, undo: true }]);
});

test('undrain that comes too late says so', async () => {
  const late = await router([node(DRAINING), node(gone)]);
  const ran = await run('undrain', 'h', '--router', late.address);
  expect(ran).toMatchObject({ code: 3, out: '' });
  expect(ran.err).toContain('h is gone: it was too late');
  const unknown = await router([]);
  expect(await run('undrain', 'h', '--router', unknown.address)).toMatchObject({ code: 3 });
});

test.each(['drain', 'undrain'])(
  '%s of a hoster that is not there names those that are',
  async (command) => {
    const one = await router([], [node({ ...ONLINE, node_id: 'hoster-1' })]);
    const ran = await run(command, 'hoster-x', '--router', one.address);
    expect(ran).toMatchObject({ code: 3, out: '' });
    expect(ran.err).toContain('alive: hoster-1');
  },
);
