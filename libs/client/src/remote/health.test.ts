import { CabstandError, FakeClock } from '@cabstand/core';
import { NodeHealth } from './health';

const FAILED_MS = 30_000;
const node = { nodeId: 'n', incarnation: '1', address: 'n:1' };
const dead = new CabstandError('NODE_UNREACHABLE', 'silence');

function setting() {
  const clock = new FakeClock(0);
  const health = new NodeHealth(
    { failures: 100, openMs: 5_000, failedMs: FAILED_MS, fullMs: 1_000, limit: 10 },
    clock,
  );
  const fail = () => health.settle(node, { kind: 'failed', error: dead, leaseId: undefined });
  /** How long it is avoided from now on. */
  const avoidedMs = async (): Promise<number> => {
    const start = clock.monotonic();
    while (health.isExcluded(node)) await clock.advance(1_000);
    return clock.monotonic() - start;
  };
  return { clock, health, fail, avoidedMs };
}

test('a hoster that keeps failing is avoided for longer each time, up to a limit', async () => {
  const { health, fail, avoidedMs } = setting();
  const times: number[] = [];
  for (let i = 0; i < 7; i++) {
    fail();
    times.push((await avoidedMs()) / FAILED_MS);
  }
  expect(times).toEqual([1, 2, 4, 8, 16, 20, 20]);
  // One answer, and all is forgotten.
  health.settle(node, { kind: 'served' });
  fail();
  expect(await avoidedMs()).toBe(FAILED_MS);
  health.settle(node, { kind: 'refused', error: new CabstandError('HOSTER_FULL', 'full') });
  expect(await avoidedMs()).toBe(1_000);
  fail();
  expect(await avoidedMs()).toBe(FAILED_MS);
});

test('one session tries it then; the others go elsewhere until it is known how that went', async () => {
  const { clock, health, fail, avoidedMs } = setting();
  fail();
  await avoidedMs();
  expect([health.isExcluded(node), health.enter(node), health.isExcluded(node)]).toEqual([
    false,
    true,
    true,
  ]);
  // Its caller gave up: that says nothing, and the next one may try.
  health.settle(node, { kind: 'undecided' });
  expect(health.isExcluded(node)).toBe(false);
  health.enter(node);
  health.settle(node, { kind: 'served' });
  expect([health.enter(node), health.isExcluded(node)]).toEqual([true, false]);
  fail();
  await avoidedMs();
  health.enter(node);
  // Nobody ever says how it went.
  await clock.advance(FAILED_MS);
  expect(health.isExcluded(node)).toBe(false);
});

test('sessions that try a hoster for the first time do so side by side', () => {
  const { health } = setting();
  expect([health.enter(node), health.isExcluded(node)]).toEqual([true, false]);
});

test('sessions that lose one hoster in one moment count once', async () => {
  const { fail, avoidedMs } = setting();
  for (let i = 0; i < 50; i++) fail();
  expect(await avoidedMs()).toBe(FAILED_MS);
});
