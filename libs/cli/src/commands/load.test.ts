/** Models that are named and not there, against a router and a hoster that say so. */
import { PassThrough } from 'node:stream';
import { CabstandError } from '@cabstand/core';
import { HosterService, RouterService, RpcServer } from '@cabstand/rpc';
import type { Authorizer } from '@cabstand/rpc';
import { standInEmptyFolder } from '../folder.fixture';
import { runCli } from '../program';

standInEmptyFolder();

const everybody: Authorizer = {
  signRequest: () => Promise.resolve({}),
  validateRequest: () => Promise.resolve({ id: 'admin', roles: new Set(['client', 'admin']) }),
  signResponse: () => Promise.resolve({}),
  validateResponse: () => Promise.resolve(),
};

/** Which model each of the two hosters has. */
const MODELS = ['mine', 'yours'];
const servers = [0, 1, 2].map(() => new RpcServer({ authorizer: everybody }));
const unloaded: string[] = [];
let router = '';
let first = '';

beforeAll(async () => {
  const [server, ...hosters] = servers;
  const addresses: string[] = [];
  for (const [i, hoster] of hosters.entries()) {
    const name = MODELS[i] ?? '';
    hoster.addService(HosterService, {
      rpc_info: ({ models }) => ({
        node_id: name,
        models: models.length === 0 || models.includes(name) ? [{ offer: { name } }] : [],
      }),
      rpc_unload_model: ({ model }) => {
        if (model !== name)
          throw new CabstandError('MODEL_NOT_HERE', `${model} is not loaded here`);
        unloaded.push(name);
        return {};
      },
    });
    addresses.push(`127.0.0.1:${await hoster.listen('127.0.0.1:0')}`);
  }
  server?.addService(RouterService, {
    rpc_watch_nodes: async ({ models }, _call, out) => {
      const nodes = addresses.map((address, i) => ({
        ...{ node_id: `h${i}`, address, state: 'NODE_STATE_ONLINE' as const },
        models: [{ name: MODELS[i] ?? '' }],
      }));
      const some = nodes.filter((node) =>
        node.models.some(({ name }) => models.length === 0 || models.includes(name)),
      );
      await out.write({ snapshot: true, nodes: some });
    },
  });
  router = `127.0.0.1:${(await server?.listen('127.0.0.1:0')) ?? 0}`;
  first = addresses[0] ?? '';
});

afterAll(() => Promise.all(servers.map((server) => server.shutdown(1))));

async function run(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const signal = new AbortController().signal;
  const streams = { stdout, stderr, stdin: process.stdin, env: {}, signal };
  const code = await runCli([...args, '--router', router], streams);
  const text = (stream: PassThrough): string => ((stream.read() as Buffer | null) ?? '').toString();
  return { code, out: text(stdout), err: text(stderr) };
}

test.each([[[]], [['--hoster']]])(
  'a model that is not loaded ends no sessions: %j',
  async (flag) => {
    const { code, err } = await run('unload', 'nope', ...flag, ...(flag.length > 0 ? [first] : []));
    expect(code).toBe(3);
    expect(err).toMatch(
      /^cabstand: .*nope is not loaded.* \(MODEL_NOT_HERE\)\n {2}See `cabstand nodes`/,
    );
  },
);

test('only the hosters that have a model are asked to unload it', async () => {
  expect(await run('unload', 'yours')).toMatchObject({ code: 0 });
  expect(unloaded).toEqual(['yours']);
});

test('infer with a model that nobody has lists those that there are', async () => {
  const { code, err } = await run('infer', '--model', 'nope', '--text', 'a');
  expect(code).toBe(3);
  expect(err).toContain('no hoster that is online has the model nope; there are mine, yours');
});
