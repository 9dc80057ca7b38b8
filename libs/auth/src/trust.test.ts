import { FakeClock } from '@cabstand/core';
import type { Recheck } from '@cabstand/rpc';
import { failure, incoming, member, outgoing } from './keys.fixture';
import type { PublicKey } from './keys';
import { SignatureAuthorizer } from './signature';
import { recheckKey } from './trust';

const clock = new FakeClock();
const alice = member('alice-1', { principal: 'alice', roles: ['client', 'admin'] });
const other = member('alice-1', { principal: 'alice', roles: ['client', 'admin'] });
const past = clock.now() - 1;

async function after(change: (key: PublicKey) => PublicKey | undefined, untilMs = Infinity) {
  let known: PublicKey | undefined = alice.known;
  const keys = { find: () => known };
  const recheck = recheckKey({ keys, key: alice.known, untilMs, clock });
  recheck();
  known = change(alice.known);
  return (await failure(recheck)).reason;
}

test.each<[string, (key: PublicKey) => PublicKey | undefined, string]>([
  ['removed', () => undefined, 'KEY_UNKNOWN'],
  ['retired', (key) => ({ ...key, notAfterMs: past }), 'CREDENTIALS_EXPIRED'],
  ['of another secret', (key) => ({ ...key, key: other.known.key }), 'UNAUTHENTICATED'],
  ['of another principal', (key) => ({ ...key, principal: 'bob' }), 'UNAUTHENTICATED'],
  ['of fewer roles', (key) => ({ ...key, roles: new Set(['client']) }), 'UNAUTHENTICATED'],
  ['for another use', (key) => ({ ...key, uses: new Set(['ticket']) }), 'UNAUTHENTICATED'],
])('no call is trusted whose key is %s', async (_, change, reason) => {
  expect(await after(change)).toBe(reason);
});

test('a key set that was read again trusts the same keys, for as long as it says now', () => {
  let known = alice.known;
  const keys = { find: () => known };
  const recheck = recheckKey({ keys, key: alice.known, clock });
  expect(recheck()).toBe(Infinity);
  const notAfterMs = clock.now() + 5000;
  known = { ...known, roles: new Set(known.roles), notAfterMs };
  expect(recheck()).toBe(notAfterMs);
});

test('an open call goes on using its key', () => {
  const used: PublicKey[] = [];
  let known = alice.known;
  const keys = { find: () => known };
  const recheck = recheckKey({ keys, key: alice.known, onKey: (key) => used.push(key), clock });
  expect(used).toEqual([]);
  // As the key set has it now: retired, for one.
  known = { ...known, notAfterMs: clock.now() + 5000 };
  recheck();
  expect(used).toEqual([known]);
});

test('what a token allows ends with it', async () => {
  const until = new FakeClock(clock.now());
  const keys = { find: () => alice.known };
  const untilMs = until.now() + 1000;
  const recheck = recheckKey({ keys, key: alice.known, untilMs, clock: until });
  expect(recheck()).toBe(untilMs);
  await until.advance(1000);
  expect((await failure(recheck)).reason).toBe('CREDENTIALS_EXPIRED');
});

test('a signed request tells what it was trusted for, once it was', async () => {
  let known: PublicKey | undefined = alice.known;
  const told: Recheck[] = [];
  const signer = new SignatureAuthorizer({ key: alice.mine, clock });
  const verifier = new SignatureAuthorizer({
    verify: { keys: { find: () => known }, audiences: ['127.0.0.1:50050'] },
    clock,
  });
  const onTrust = (recheck: Recheck): void => void told.push(recheck);
  // Signed ahead of the start of the server: requests of before are not taken.
  await clock.advance(2000);
  const receive = async (body: Buffer): Promise<unknown> =>
    verifier.validateRequest(
      incoming(outgoing(), await signer.signRequest(outgoing()), { body, onTrust }),
    );
  expect((await failure(() => receive(Buffer.from('forged')))).reason).toBe('KEY_UNKNOWN');
  expect(told).toEqual([]);
  await receive(Buffer.from('request'));
  expect(told.map((recheck) => recheck())).toEqual([Infinity]);
  known = undefined;
  expect((await failure(() => told[0]?.())).reason).toBe('KEY_UNKNOWN');
});
