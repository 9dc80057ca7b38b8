import { CabstandError, FakeClock } from '@cabstand/core';
import { proxy, rig, tester, trusting } from '../rpc.fixture';
import { HosterService, RpcClient } from '../index';
import type { Authorizer } from '../index';
import { Strangers, addressOf } from './strangers';

const LIMITS = { maxRefusalsPerSecond: 10, maxRefusalsPerConnection: 300 };
const bad = (): Promise<never> => Promise.reject(new CabstandError('UNAUTHENTICATED', 'no'));
const good = (): Promise<string> => Promise.resolve('alice');

function strangers() {
  const clock = new FakeClock();
  const closed: string[] = [];
  let verified = 0;
  const all = new Strangers(LIMITS, clock, (peer) => void closed.push(peer));
  const call = async (peer: string, verify: () => Promise<string>): Promise<string> => {
    try {
      return await all.check(peer, () => {
        verified++;
        return verify();
      });
    } catch (error) {
      return CabstandError.from(error).reason;
    }
  };
  return { all, clock, closed, call, verified: () => verified };
}

test('an address has its share of refusals checked, and more as time passes', async () => {
  const { all, clock, call, verified } = strangers();
  all.opened('10.0.0.1:1');
  for (let i = 0; i < 250; i++) await call('10.0.0.1:1', bad);
  expect(verified()).toBe(100);
  expect(await call('10.0.0.1:1', bad)).toBe('RATE_LIMITED');
  await clock.advance(1000);
  for (let i = 0; i < 40; i++) await call('10.0.0.1:1', bad);
  expect(verified()).toBe(110);
});

test('whoever proves something is let in from the same address, on a new connection and for good', async () => {
  const { all, call } = strangers();
  for (const peer of ['10.0.0.1:1', '10.0.0.1:2']) all.opened(peer);
  for (let i = 0; i < 250; i++) await call('10.0.0.1:1', bad);
  for (let i = 0; i < 1000; i++) expect(await call('10.0.0.1:2', good)).toBe('alice');
  // A clock that was off, say: the connection has proved itself.
  expect(await call('10.0.0.1:2', bad)).toBe('UNAUTHENTICATED');
  expect(await call('10.0.0.1:2', good)).toBe('alice');
});

test('a connection that proves nothing is closed, once', async () => {
  const { all, call, closed } = strangers();
  for (const peer of ['10.0.0.1:1', '10.0.0.2:1']) all.opened(peer);
  await call('10.0.0.2:1', good);
  for (let i = 0; i < 400; i++) {
    await call('10.0.0.1:1', bad);
    await call('10.0.0.2:1', bad);
  }
  expect(closed).toEqual(['10.0.0.1:1']);
});

test('what is refused for another reason than credentials counts nothing', async () => {
  const { all, call, verified } = strangers();
  all.opened('10.0.0.1:1');
  const denied = (): Promise<never> => Promise.reject(new CabstandError('PERMISSION_DENIED', 'no'));
  for (let i = 0; i < 400; i++) await call('10.0.0.1:1', denied);
  expect(verified()).toBe(400);
});

test.each([
  ['10.1.2.3:50', '10.1.2.3'],
  ['2001:db8:1:2:3:4:5:6:50', '2001:db8:1:2::/64'],
  ['2001:db8::7:50', '2001:db8:0:0::/64'],
  ['::1:50', '0:0:0:0::/64'],
  ['::ffff:10.1.2.3:50', '::ffff:10.1.2.3'],
  ['unknown', 'unknow'],
])('%s is of %s', (peer, address) => {
  expect(addressOf(peer)).toBe(address);
});

test('a flood of bad credentials loses its connections, and a client beside it notices nothing', async () => {
  const authorizer: Authorizer = {
    ...trusting,
    validateRequest: ({ metadata }) =>
      metadata.get('who').length > 0 ? Promise.resolve(tester) : bad(),
  };
  const strange: string[] = [];
  await using it = await rig(
    { rpc_info: () => ({ version: 'here' }) },
    {
      server: {
        authorizer,
        limits: LIMITS,
        onStranger: (peer) => void strange.push(peer),
      },
      client: { authorizer: { ...trusting, signRequest: () => Promise.resolve({ who: 'me' }) } },
    },
  );
  await using way = await proxy(it.port);
  const flooder = new RpcClient(`127.0.0.1:${way.port}`, { authorizer: trusting });
  for (let round = 0; round < 4; round++) {
    const flood = Array.from({ length: 100 }, () =>
      flooder.unary(HosterService.rpc_info, {}).catch((error: unknown) => error),
    );
    expect(await it.client.unary(HosterService.rpc_info, {})).toMatchObject({ version: 'here' });
    await Promise.all(flood);
  }
  flooder.close();
  expect(strange).toHaveLength(1);
});
