import { CabstandError, FakeClock } from '@cabstand/core';
import type { Authorizer, OutgoingRequest } from '@cabstand/rpc';
import { ServerClocks } from './clocks';

const SERVER = 'r:50050';
const request: OutgoingRequest = { method: '/m', audience: SERVER, body: undefined };

/** Signs nothing, believes everything. */
const trusting: Authorizer = {
  signRequest: () => Promise.resolve({}),
  validateResponse: () => Promise.resolve(),
  signResponse: () => Promise.resolve({}),
  validateRequest: () => Promise.reject(new Error('a client validates no requests')),
};

/** A call that takes `tookMs`, to a server whose clock is so far ahead. */
async function call(
  clocks: ServerClocks,
  clock: FakeClock,
  aheadMs: number,
  tookMs: number,
): Promise<void> {
  const authorizer = clocks.watching(trusting);
  await authorizer.signRequest(request);
  await clock.advance(tookMs / 2);
  const timestamp = String(clock.now() + aheadMs);
  const headers = {
    get: (name: string) => (name === 'cabstand-response-timestamp' ? [timestamp] : []),
  } as unknown as Parameters<Authorizer['validateResponse']>[1];
  await clock.advance(tookMs / 2);
  await authorizer.validateResponse(request, headers);
}

test.each([
  [0, 'ok', 'agrees with this machine'],
  [900, 'ok', 'agrees with this machine'],
  // Servers take what is not a minute old.
  [5000, 'ok', 'this machine is 5.0 s behind it'],
  [-5000, 'warn', 'this machine is 5.0 s ahead of it'],
  [40_000, 'fail', 'this machine is 40.0 s behind it'],
  [-3_600_000, 'fail', 'this machine is 60 min ahead of it'],
])('a server whose clock is %d ms ahead: %s', async (aheadMs, status, message) => {
  const clock = new FakeClock();
  const clocks = new ServerClocks(clock);
  expect(clocks.finding(SERVER)).toBeUndefined();
  await call(clocks, clock, aheadMs, 20);
  expect(clocks.finding(SERVER)).toMatchObject({ status, message, name: `clock ${SERVER}` });
});

test('the quickest answer counts, and a slow one proves no difference', async () => {
  const clock = new FakeClock();
  const clocks = new ServerClocks(clock);
  await call(clocks, clock, -1500, 2000);
  expect(clocks.finding(SERVER)?.status).toBe('ok');
  await call(clocks, clock, -1500, 20);
  expect(clocks.finding(SERVER)?.status).toBe('warn');
  await call(clocks, clock, 0, 3000);
  expect(clocks.finding(SERVER)?.status).toBe('warn');
});

test('a refusal tells the time as well, to a caller that no answer was given to', async () => {
  const clock = new FakeClock();
  const clocks = new ServerClocks(clock);
  const metadata = { server_time_ms: String(clock.now() - 60_000), audience: SERVER };
  const refresh = clocks
    .watching(trusting)
    .refresh?.(new CabstandError('CLOCK_SKEW', 'too early', { metadata }));
  expect(await refresh).toBe(false);
  expect(clocks.finding(SERVER)).toMatchObject({ status: 'fail' });
});
