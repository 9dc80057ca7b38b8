import { CabstandError } from '@cabstand/core';
import { HosterService, RpcServer } from '@cabstand/rpc';
import type { Authorizer } from '@cabstand/rpc';
import { MockProtocol, trusting } from '@cabstand/testing';
import { RemoteManager } from '../remote/manager';
import { SessionManager } from './manager';

const signing = (name: string): Authorizer => ({
  ...trusting,
  signRequest: () => Promise.resolve({ 'x-name': name }),
});

describe('how to connect is said once', () => {
  let address: string;
  let server: RpcServer;
  /** Who signed the calls that came. */
  const callers: unknown[] = [];

  beforeAll(async () => {
    server = new RpcServer({ authorizer: trusting });
    server.addService(HosterService, {
      rpc_session_stream: (_requests, call) => {
        callers.push(...call.metadata.get('x-name'));
        return Promise.reject(new CabstandError('PERMISSION_DENIED', 'heard you'));
      },
    });
    address = `127.0.0.1:${await server.listen('127.0.0.1:0')}`;
  });
  afterAll(() => server.shutdown(0));

  test.each<[string, Authorizer | undefined, string]>([
    ['the session manager has none: the one of the remote manager', undefined, 'remote'],
    ['the session manager has its own', signing('own'), 'own'],
  ])('%s', async (_what, authorizer, expected) => {
    callers.length = 0;
    await using remote = new RemoteManager({ hosters: [address], authorizer: signing('remote') });
    await using sessions = new SessionManager(
      remote,
      authorizer === undefined ? {} : { authorizer },
    );
    const session = sessions.session({ model: 'm' });
    await expect(session.runProtocolTask('a').next()).rejects.toMatchObject({
      reason: 'PERMISSION_DENIED',
    });
    expect(callers).toEqual([expected]);
  });

  test('a bad option of the session manager is still its own mistake', () => {
    const remote = new RemoteManager({ hosters: [address], maxMessageBytes: 10_000 });
    expect(() => new SessionManager(remote, { maxMessageBytes: 0 })).toThrow(/maxMessageBytes/);
    return remote.close();
  });

  test('a protocol of its own takes nothing from the remote manager', async () => {
    const mock = new MockProtocol();
    await using remote = new RemoteManager({ hosters: mock.hosters, authorizer: trusting });
    await using sessions = new SessionManager(remote, { protocol: mock });
    await using session = sessions.session({ model: 'm' });
    expect((await session.runProtocolTask('a').next()).value).toMatchObject({ text: 'a' });
  });
});
