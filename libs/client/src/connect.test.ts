import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generateSubnetKeys, subnetPaths } from '@cabstand/auth-admin';
import { CabstandError } from '@cabstand/core';
import type { OutgoingRequest } from '@cabstand/rpc';
import { keyFile, token, tokenFile } from './auth';
import { connect } from './connect';
import { RemoteManager } from './remote/manager';
import { SessionManager } from './session/manager';

let folder: string;
let key: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'cabstand-connect-'));
  await generateSubnetKeys({ folder });
  key = subnetPaths(folder).key('client');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const request: OutgoingRequest = {
  method: '/cabstand.v1.RouterService/rpc_acquire',
  audience: '127.0.0.1:50050',
  body: Buffer.from('request'),
};

test('a key signs, or makes tokens', async () => {
  expect(Object.keys(await keyFile(key).signRequest(request))).toContain('cabstand-signature');
  const headers = await keyFile(key, { as: 'token' }).signRequest(request);
  expect(headers['authorization']).toMatch(/^Bearer ey/);
});

test('a token is sent as it is, from text, a function or a file', async () => {
  const file = join(folder, 'mine.token');
  writeFileSync(file, 'from-a-file\n');
  for (const [auth, sent] of [
    [token('plain'), 'plain'],
    [token(() => 'asked'), 'asked'],
    [tokenFile(file), 'from-a-file'],
  ] as const)
    expect((await auth.signRequest(request))['authorization']).toBe(`Bearer ${sent}`);
});

test.each<[string, () => unknown]>([
  ['there is no such file', () => keyFile(join(folder, 'none.json'))],
  ['path', () => keyFile('')],
  ['server', () => keyFile(key, { server: 'keys.json' } as object)],
  ['authorizer', () => connect({ routers: 'localhost:1', authorizer: token('a') } as never)],
  ['routers', () => connect({})],
  ['maxSessions', () => connect({ routers: 'localhost:1', maxSessions: 0 })],
])('what is wrong is named: %s', (named, make) => {
  let thrown: unknown;
  try {
    make();
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(CabstandError);
  expect((thrown as CabstandError).reason).toBe('INVALID_ARGUMENT');
  expect((thrown as CabstandError).message).toContain(named);
});

test('sessions use the connections of their remote manager, unless they are told how to connect', async () => {
  // Nobody listens there: to try is to make a connection.
  const remote = new RemoteManager({ hosters: '127.0.0.1:9', connectMs: 50 });
  const tried = async (options: { readonly connectMs?: number }): Promise<number> => {
    const sessions = new SessionManager(remote, { ...options, retry: { attempts: 1 } });
    const session = sessions.session({ model: 'any' });
    const before = remote.pool.size;
    await expect(session.runProtocolTask('x').next()).rejects.toBeInstanceOf(CabstandError);
    await sessions.close();
    return remote.pool.size - before;
  };
  expect(await tried({ connectMs: 60 })).toBe(0);
  expect(await tried({})).toBe(1);
  await remote.close();
});
