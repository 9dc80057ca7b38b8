/** Addresses that answer, and not as what they were named for. */
import { PassThrough } from 'node:stream';
import path from 'node:path';
import { HosterService, RouterService, RpcServer } from '@cabstand/rpc';
import type { Authorizer } from '@cabstand/rpc';
import { Folder } from '../folder.fixture';
import { runCli } from '../program';

/** As with `up --no-auth`. */
const everybody: Authorizer = {
  signRequest: () => Promise.resolve({}),
  validateRequest: () => Promise.resolve({ id: 'client', roles: new Set(['client', 'admin']) }),
  signResponse: () => Promise.resolve({}),
  validateResponse: () => Promise.resolve(),
};

const folder = new Folder();
const router = new RpcServer({ authorizer: everybody });
const hoster = new RpcServer({ authorizer: everybody });
const at = { router: '', hoster: '' };

beforeAll(async () => {
  router.addService(RouterService, {
    rpc_watch_nodes: async (_request, _call, out) => {
      await out.write({ snapshot: true, nodes: [] });
    },
  });
  hoster.addService(HosterService, { rpc_info: () => ({ node_id: 'h', models: [] }) });
  at.router = `127.0.0.1:${await router.listen('127.0.0.1:0')}`;
  at.hoster = `127.0.0.1:${await hoster.listen('127.0.0.1:0')}`;
});

afterAll(async () => {
  folder.remove();
  await Promise.all([router.shutdown(1), hoster.shutdown(1)]);
});

async function run(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const signal = new AbortController().signal;
  const streams = { stdout, stderr, stdin: process.stdin, env: {}, signal };
  const code = await runCli(args, streams);
  const text = (stream: PassThrough): string => ((stream.read() as Buffer | null) ?? '').toString();
  return { code, out: text(stdout), err: text(stderr) };
}

test.each([['nodes'], ['drain', 'h'], ['undrain', 'h'], ['nodes', '--watch'], ['info']])(
  '%s told of a hoster as a router says so',
  async (...command) => {
    const { code, err } = await run(...command, '--router', at.hoster);
    expect(code).toBe(1);
    expect(err).toContain(`${at.hoster} answers, but not as a router (UNIMPLEMENTED)\n`);
    expect(err).toContain(`Is it a hoster? \`cabstand info --hoster ${at.hoster}\``);
  },
);

test.each([['info'], ['infer', '--model', 'm', '--text', 'a'], ['load', 'm'], ['unload', 'm']])(
  '%s told of a router as a hoster says so',
  async (...command) => {
    const { code, err } = await run(...command, '--hoster', at.router);
    expect(code).toBe(1);
    expect(err).toContain(`${at.router} answers, but not as a hoster (UNIMPLEMENTED)\n`);
    expect(err).toContain(`Is it a router? \`cabstand nodes --router ${at.router}\``);
  },
);

test('a subnet without keys, called with keys that are here, is told with what calls it', async () => {
  const keys = path.join(folder.path, 'keys');
  expect((await run('keys', 'init', '--out', keys)).code).toBe(0);
  const asked = ['nodes', '--router', at.router, '--credentials', keys];
  const { err } = await run(...asked);
  expect(err).toContain('it did not sign its response (NODE_BAD_REPLY)\n');
  expect(err).toMatch(/started without keys \(`cabstand up --no-auth`\)\? Call it with --no-auth/);
  expect(await run(...asked, '--no-auth')).toMatchObject({ code: 0, err: '' });
});
