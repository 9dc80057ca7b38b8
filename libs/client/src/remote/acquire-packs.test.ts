import { CabstandError, systemClock } from '@cabstand/core';
import { node, remoteFor, router } from './router.fixture';

/** Time stands still: what counts as often does not depend on the machine. */
const clock = {
  now: () => systemClock.now(),
  monotonic: () => 5000,
  setTimer: systemClock.setTimer.bind(systemClock),
};

test('who opens sessions all the time asks a router once for several', async () => {
  const only = await router();
  only.nodes = [node('a'), node('b')];
  const remote = remoteFor({ routers: [only.address], clock });
  const leases: (string | undefined)[] = [];
  for (let i = 0; i < 60; i++) leases.push((await remote.acquire({ model: 'm' })).lease?.id);
  expect(only.acquired.length).toBeLessThan(35);
  expect(only.acquired.slice(0, 15).map(({ count }) => count)).toEqual(Array(15).fill(0));
  expect(leases.filter((id) => id?.startsWith('more')).length).toBe(60 - only.acquired.length);
  // A hoster that has failed meanwhile is not gone to, and its places are given back.
  while (only.acquired.at(-1)?.count === 0) await remote.acquire({ model: 'm' });
  const failed = { nodeId: 'a', incarnation: 'a-1', address: 'a:1' };
  const error = new CabstandError('NODE_UNREACHABLE', 'gone');
  remote.settle(failed, { kind: 'failed', error, leaseId: undefined });
  expect((await remote.acquire({ model: 'm' })).node.nodeId).toBe('b');
  expect(only.acquired.at(-1)?.returned_lease_ids.length).toBeGreaterThan(0);
});

test('an older router that knows no packs is asked for one place after another', async () => {
  const only = await router();
  only.nodes = [node('a')];
  only.older = true;
  const remote = remoteFor({ routers: [only.address], clock });
  for (let i = 0; i < 40; i++)
    expect((await remote.acquire({ model: 'm' })).lease?.id).toBe('lease');
  expect(only.acquired.filter(({ count }) => count > 0)).toHaveLength(1);
  expect(only.acquired).toHaveLength(41);
});

test('several that open at once wait for one pack, and who gives up meanwhile is let go', async () => {
  const only = await router();
  only.nodes = [node('a')];
  const remote = remoteFor({ routers: [only.address], clock, acquireMs: 30_000 });
  const acquire = (): Promise<unknown> => remote.acquire({ model: 'm' });
  for (let i = 0; i < 200; i++) await acquire();
  // Until all of a pack is used.
  const packs = only.acquired.length;
  while (only.acquired.length === packs) await acquire();
  for (let left = only.acquired.at(-1)?.count ?? 0; left > 1; left--) await acquire();
  const before = only.acquired.length;
  const giving = new AbortController();
  const all = Array.from({ length: 8 }, acquire);
  const lost = remote.acquire({ model: 'm', signal: giving.signal });
  giving.abort(new CabstandError('CANCELLED', 'enough'));
  await expect(lost).rejects.toMatchObject({ reason: 'CANCELLED' });
  await Promise.all(all);
  expect(only.acquired.length - before).toBe(1);
});
