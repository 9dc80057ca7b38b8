/** `info` where nobody serves the model, against a router and a hoster that say so. */
import { PassThrough } from 'node:stream';
import { HosterService, RouterService, RpcServer } from '@cabstand/rpc';
import type { Authorizer } from '@cabstand/rpc';
import { standInEmptyFolder } from '../folder.fixture';
import { runCli } from '../program';

standInEmptyFolder();

const everybody: Authorizer = {
  signRequest: () => Promise.resolve({}),
  validateRequest: () => Promise.resolve({ id: 'client', roles: new Set(['client']) }),
  signResponse: () => Promise.resolve({}),
  validateResponse: () => Promise.resolve(),
};

test('info --model tells why a model failed that no hoster serves', async () => {
  const hoster = new RpcServer({ authorizer: everybody });
  hoster.addService(HosterService, {
    rpc_info: ({ models }) => ({
      node_id: 'h',
      models: models.map((name) => ({
        offer: { name },
        state: 'MODEL_STATE_FAILED' as const,
        failure: 'expected 32 records or more, got 2',
      })),
    }),
  });
  const address = `127.0.0.1:${await hoster.listen('127.0.0.1:0')}`;
  let up = true;
  const router = new RpcServer({ authorizer: everybody });
  router.addService(RouterService, {
    // As a router does: whoever asks for a model gets the nodes that serve it.
    rpc_watch_nodes: async ({ models }, _call, out) => {
      const node = {
        node_id: 'h',
        address,
        state: 'NODE_STATE_ONLINE' as const,
        other_models: [{ name: 'mine', version: '1', state: 'MODEL_STATE_FAILED' as const }],
      };
      await out.write({ snapshot: true, nodes: up && models.length === 0 ? [node] : [] });
    },
  });
  const port = await router.listen('127.0.0.1:0');
  const run = async (model: string): Promise<{ code: number; out: string; err: string }> => {
    const [stdout, stderr] = [new PassThrough(), new PassThrough()];
    const code = await runCli(['info', '--model', model, '--router', `127.0.0.1:${port}`], {
      stdout,
      stderr,
      stdin: process.stdin,
      env: {},
      signal: new AbortController().signal,
    });
    const text = (stream: PassThrough): string =>
      ((stream.read() as Buffer | null) ?? '').toString();
    return { code, out: text(stdout), err: text(stderr) };
  };
  try {
    const { code, out } = await run('mine');
    expect(code).toBe(0);
    expect(out).toMatch(/^mine {2}FAILED$/m);
    expect(out).toContain('expected 32 records or more, got 2\n');
    expect((await run('other')).err).toContain('no hoster that is online has the model other');
    // As long as hosters start, nobody can say that.
    up = false;
    expect((await run('mine')).err).toContain('the router knows no hoster that is online');
  } finally {
    await Promise.all([hoster.shutdown(1), router.shutdown(1)]);
  }
});
