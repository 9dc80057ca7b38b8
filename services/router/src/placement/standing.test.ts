/** What a hoster says of itself is measured by what became of its hand-outs. */
import { HOSTER, beat, join, offer, report, stand, wanted } from '../core.fixture';
import type { HandOut } from '../handouts';
import type { Stand } from '../core.fixture';
import type { RouterCore } from '../core';

const HONEST = ['a', 'b'];

function load(free: number, stepSeconds = 0.001) {
  const model = { model: 'm', freeSlots: free, resumeSlots: 0, queueDepth: 0, stepSeconds };
  return { models: [model], openSessions: 0, eventLoopLagSeconds: 0 };
}

/** Two hosters that serve and are half full, and one that only says so of itself. */
function rogue(): Stand {
  const s = stand({ suspectAfterPeriods: 100, offlineAfterPeriods: 1000 });
  for (const id of HONEST) join(s.core, id, { offers: [offer('m', { capacity: 64 })] });
  join(s.core, 'rogue', { offers: [offer('m', { capacity: 1_000_000 })] });
  for (const id of HONEST) s.core.heartbeat(beat(id, { load: load(32) }), HOSTER);
  s.core.heartbeat(beat('rogue', { load: load(1_000_000, 1e-9) }), HOSTER);
  return s;
}

/** Hand-outs, one after the other, each used at once as its node says; the rogue's fails its caller. */
function run(
  core: RouterCore,
  count: number,
  { lies = false, principals = ['alice'] } = {},
): Record<string, number> {
  const counts: Record<string, number> = { a: 0, b: 0, rogue: 0 };
  for (let i = 0; i < count; i++) {
    const principal = principals[i % principals.length] as string;
    const { lease, node } = core.acquire(wanted(), principal);
    counts[node.id] = (counts[node.id] ?? 0) + 1;
    if (lies || node.id !== 'rogue')
      core.heartbeat(beat(node.id, { consumedLeaseIds: [lease.leaseId] }), HOSTER);
    if (node.id !== 'rogue') continue;
    try {
      core.report(report('rogue', { leaseId: lease.leaseId }), principal);
    } catch {
      // It has reported all that it may.
    }
  }
  return counts;
}

test.each([
  ['says nothing of its leases', false],
  ['calls every lease used', true],
])(
  'a hoster that serves nobody and %s gets less than its share after its first failures',
  (_, lies) => {
    const { core } = rogue();
    run(core, 4, { lies });
    expect(run(core, 60, { lies })['rogue']).toBeLessThan(20);
  },
);

test('the same with many clients, of whom each finds out for itself', () => {
  const { core } = rogue();
  const principals = Array.from({ length: 40 }, (_, i) => `p${i}`);
  run(core, 4, { lies: true, principals });
  expect(run(core, 120, { lies: true, principals })['rogue']).toBeLessThan(40);
});

test('a burst before anything is known gives a new hoster no more than a small one could take', () => {
  const { core } = rogue();
  for (const id of HONEST) {
    const { lease } = core.acquire(wanted({ allow: [id] }), 'alice');
    core.heartbeat(beat(id, { consumedLeaseIds: [lease.leaseId] }), HOSTER);
  }
  const burst = Array.from({ length: 90 }, () => core.acquire(wanted(), 'alice'));
  const at = burst.filter(({ node }) => node.id === 'rogue').length;
  // It says that it is empty while the others are half full: as much as one that is as they are.
  expect(at).toBeGreaterThan(0);
  expect(at).toBeLessThanOrEqual(60);
});

test('new hosters alone share a burst at once, down to their last slot', () => {
  const { core } = stand();
  for (const id of HONEST) join(core, id, { offers: [offer('m', { capacity: 100 })] });
  const burst = Array.from({ length: 200 }, () => core.acquire(wanted(), 'alice').node.id);
  for (const most of [20, 64, 128]) {
    const first = burst.slice(0, most).filter((id) => id === 'a').length;
    expect(Math.abs(first - most / 2)).toBeLessThanOrEqual(1);
  }
});

test('starting anew does not clear a hoster that has failed its callers right after the last start', async () => {
  const s = rogue();
  let starts = 1;
  const again = (): void => {
    const incarnation = `rogue-${++starts}`;
    join(s.core, 'rogue', { incarnation, offers: [offer('m', { capacity: 1_000_000 })] });
  };
  let bad = 0;
  for (let i = 0; i < 10; i++) {
    bad += run(s.core, 6)['rogue'] ?? 0;
    await s.clock.advance(500);
    again();
  }
  expect(bad).toBeLessThan(5);
  // One that has run for long starts clean.
  await s.clock.advance(90_000);
  again();
  const standing = s.core.nodes.get('rogue')?.standing;
  expect(standing?.clean).toBe(true);
});

test('a hoster that serves is believed more with each lease that is used', () => {
  const { core } = stand();
  join(core, 'a', { offers: [offer('m', { capacity: 64 })] });
  join(core, 'big', { offers: [offer('m', { capacity: 640 })] });
  const share = (): number => {
    const burst = Array.from({ length: 64 }, () => core.acquire(wanted(), 'alice'));
    const at = burst.filter(({ node }) => node.id === 'big');
    for (const id of ['a', 'big']) {
      const used = burst.filter(({ node }) => node.id === id);
      const consumedLeaseIds = used.map(({ lease }) => lease.leaseId);
      core.heartbeat(beat(id, { consumedLeaseIds }), HOSTER);
    }
    return at.length;
  };
  expect(share()).toBe(32);
  for (let i = 0; i < 9; i++) share();
  expect(share()).toBeGreaterThan(45);
});

describe('callers', () => {
  /** Ten hand-outs at `a` that three principals have used. */
  function served(): Stand {
    const s = rogue();
    s.core.deregister('rogue', 'rogue-1', HOSTER, '');
    for (let i = 0; i < 30; i++) use(s.core, s.core.acquire(wanted(), `p${i % 3}`));
    return s;
  }
  const use = (core: RouterCore, { lease, node }: HandOut): void =>
    void core.heartbeat(beat(node.id, { consumedLeaseIds: [lease.leaseId] }), HOSTER);
  const spread = (core: RouterCore): number => {
    const burst = Array.from({ length: 20 }, () => core.acquire(wanted(), 'p0'));
    for (const { lease } of burst) core.release(lease.leaseId);
    return burst.filter(({ node }) => node.id === 'a').length;
  };

  test('that never had a hoster cannot talk it down', () => {
    const { core } = served();
    const before = spread(core);
    for (let i = 0; i < 10; i++) core.report(report('a'), 'mallory');
    expect(spread(core)).toBe(before);
    expect(before).toBeGreaterThan(0);
  });

  test('that reserve there and open nothing do not keep others away for good', async () => {
    const s = served();
    for (let i = 0; i < 20; i++) s.core.acquire(wanted({ allow: ['a'] }), 'mallory');
    await s.clock.advance(10_000);
    for (const id of HONEST) s.core.heartbeat(beat(id, { load: load(32) }), HOSTER);
    expect(s.core.sizes().reservations).toBe(0);
    expect(spread(s.core)).toBeGreaterThanOrEqual(5);
  });

  test('whose reservations a full hoster could not serve say nothing against it', async () => {
    const s = served();
    s.core.acquire(wanted({ allow: ['a'] }), 'p0');
    s.core.acquire(wanted({ allow: ['b'] }), 'p0');
    s.core.heartbeat(beat('a', { load: load(0) }), HOSTER);
    await s.clock.advance(10_000);
    expect(s.core.nodes.get('a')?.standing.clean).toBe(true);
    expect(s.core.nodes.get('b')?.standing.clean).toBe(false);
  });

  test('that were failed by it are enough to spare it, and it comes back with time', async () => {
    const s = rogue();
    s.core.deregister('rogue', 'rogue-1', HOSTER, '');
    const { lease } = s.core.acquire(wanted({ allow: ['a'] }), 'p0');
    s.core.report(report('a', { leaseId: lease.leaseId }), 'p0');
    await s.clock.advance(0);
    expect(spread(s.core)).toBe(0);
    await s.clock.advance(180_000);
    for (const id of HONEST) s.core.heartbeat(beat(id, { load: load(32) }), HOSTER);
    expect(spread(s.core)).toBeGreaterThanOrEqual(9);
  });
});

test('a step time that no machine has makes nobody else slow', () => {
  const { core } = stand();
  for (const id of HONEST) join(core, id, { offers: [offer('m', { capacity: 64 })] });
  core.heartbeat(beat('a', { load: load(64) }), HOSTER);
  core.heartbeat(beat('b', { load: load(64, 1e-9) }), HOSTER);
  const burst = Array.from({ length: 64 }, () => core.acquire(wanted(), 'alice'));
  expect(burst.filter(({ node }) => node.id === 'a').length).toBeGreaterThanOrEqual(6);
});

test('no more slots are believed than a node may have', () => {
  const { core } = stand({ maxSlotsPerNode: 5 });
  join(core, 'a', { offers: [offer('m', { capacity: 1_000_000 })] });
  core.heartbeat(beat('a', { load: load(1_000_000) }), HOSTER);
  expect(core.nodes.get('a')?.slots.get('m')).toMatchObject({ capacity: 5, free: 5 });
});
