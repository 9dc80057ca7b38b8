/** `command` against a router and a hoster that answer as theirs would. */
import { PassThrough } from 'node:stream';
import { CabstandError } from '@cabstand/core';
import { HosterService, RouterService, RpcServer } from '@cabstand/rpc';
import type { Authorizer, v1 } from '@cabstand/rpc';
import { runCli } from '../program';

const everybody: Authorizer = {
  signRequest: () => Promise.resolve({}),
  validateRequest: () => Promise.resolve({ id: 'client', roles: new Set(['client']) }),
  signResponse: () => Promise.resolve({}),
  validateResponse: () => Promise.resolve(),
};

const taken: v1.SessionUpdateRequest__Output[] = [];
const hoster = new RpcServer({ authorizer: everybody });
const router = new RpcServer({ authorizer: everybody });
let places: { readonly router: string; readonly hoster: string };

beforeAll(async () => {
  hoster.addService(HosterService, {
    rpc_session_update: (request) => {
      taken.push(request);
      const sequence = 4;
      if (request.command?.name === 'full')
        return {
          result: {
            sequence,
            error: {
              reason: 'COMMAND_REJECTED',
              message: 'full: no room',
              metadata: { code: 'F' },
            },
          },
        };
      if (request.command?.name !== 'seed')
        throw new CabstandError('COMMAND_UNKNOWN', 'painter knows no such command');
      return { result: { sequence, value: '{"from_frame":12}' } };
    },
  });
  const address = `127.0.0.1:${await hoster.listen('127.0.0.1:0')}`;
  router.addService(RouterService, {
    rpc_locate: ({ session_id: id }) => ({
      locations: id === 'ride' ? [{ node: { node_id: 'h', address }, epoch: 1 }] : [],
    }),
  });
  places = { router: `127.0.0.1:${await router.listen('127.0.0.1:0')}`, hoster: address };
});

afterAll(() => Promise.all([hoster.shutdown(1), router.shutdown(1)]));

async function run(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const code = await runCli(['command', ...args, '--no-auth'], {
    ...{ stdout, stderr, stdin: process.stdin, env: {} },
    signal: new AbortController().signal,
  });
  const text = (stream: PassThrough): string => ((stream.read() as Buffer | null) ?? '').toString();
  return { code, out: text(stdout), err: text(stderr) };
}

test('a command finds its session through the router, and prints its result', async () => {
  const { code, out } = await run(
    'ride',
    'seed',
    'seed=7',
    'how=at once',
    '--router',
    places.router,
  );
  expect([code, out]).toEqual([0, '{"from_frame":12}\n']);
  expect(taken.at(-1)).toMatchObject({
    session_id: 'ride',
    // An epoch would take the session from its reader.
    epoch: null,
    command: { sequence: -1, name: 'seed', arguments: '{"seed":7,"how":"at once"}' },
  });
});

test('with --hoster no router is asked', async () => {
  const { code, out } = await run('any', 'seed', '{"seed": 7}', '--hoster', places.hoster);
  expect([code, out]).toEqual([0, '{"from_frame":12}\n']);
  expect(taken.at(-1)?.session_id).toBe('any');
});

test('a refusal comes with its reason, and what to do', async () => {
  const unknown = await run('ride', 'nothing', '--router', places.router);
  expect([unknown.code, unknown.out]).toEqual([3, '']);
  expect(unknown.err).toMatch(/COMMAND_UNKNOWN[^]*cabstand info/);
  const full = await run('ride', 'full', '--router', places.router);
  expect([full.code, full.err]).toEqual([
    3,
    expect.stringContaining('full: no room (COMMAND_REJECTED)'),
  ]);
});

test('a session that nobody has is told, and arguments that are none cost no call', async () => {
  const before = taken.length;
  expect((await run('gone', 'seed', '--router', places.router)).err).toMatch(/SESSION_UNKNOWN/);
  expect(await run('ride', 'seed', '7', '--router', places.router)).toMatchObject({ code: 2 });
  expect(taken).toHaveLength(before);
});
