/** Reservations that nobody uses take nothing from anybody for long. */
import fc from 'fast-check';
import { HOSTER, beat, claim, join, offer, refusal, seeded, stand, wanted } from '../core.fixture';
import type { Stand } from '../core.fixture';
import type { LeaseEnd } from './leases';

function fleet(nodes: number, capacity: number, s = stand()): Stand {
  for (let i = 0; i < nodes; i++) join(s.core, `n${i}`, { offers: [offer('m', { capacity })] });
  return s;
}

function told(free: number, kept = 0) {
  const model = {
    model: 'm',
    freeSlots: free,
    resumeSlots: kept,
    queueDepth: 0,
    stepSeconds: 0,
  };
  return { models: [model], openSessions: 0, eventLoopLagSeconds: 0 };
}

const full = refusal('HOSTER_FULL');

test('one principal alone may reserve all there is', () => {
  const { core } = fleet(2, 100);
  for (let i = 0; i < 200; i++) core.acquire(wanted(), 'alice');
  expect(() => core.acquire(wanted(), 'alice')).toThrow(full);
});

test('whoever reserves and opens nothing gives way to others, the oldest reservation first', () => {
  const ends: LeaseEnd[] = [];
  const { core } = fleet(2, 61, stand({}, { leaseEnded: (end) => ends.push(end) }));
  const first = core.acquire(wanted(), 'bob');
  for (let i = 1; i < 122; i++) core.acquire(wanted(), 'bob');
  const { lease, node } = core.acquire(wanted(), 'alice');
  expect(ends).toEqual(['reclaimed']);
  expect(node).toBe(first.node);
  expect(lease.leaseId).not.toBe(first.lease.leaseId);
  // Half of it is hers, the rest stays his.
  for (let i = 1; i < 61; i++) core.acquire(wanted(), 'alice');
  expect(() => core.acquire(wanted(), 'alice')).toThrow(full);
  expect(() => core.acquire(wanted(), 'bob')).toThrow(full);
  expect(core.sizes().reservations).toBe(122);
});

test('a reservation that was taken back and is used all the same is nothing special', () => {
  const { core } = fleet(1, 2);
  const { lease } = core.acquire(wanted(), 'bob');
  core.acquire(wanted(), 'bob');
  core.acquire(wanted(), 'alice');
  core.heartbeat(beat('n0', { load: told(1), consumedLeaseIds: [lease.leaseId] }), HOSTER);
  expect(core.sizes().reservations).toBe(2);
});

test('what is taken back fits the call: its lists, its weights, and room that is really there', () => {
  const digest = `sha256:${'a'.repeat(64)}`;
  const { core } = stand();
  join(core, 'a', { offers: [offer('m', { capacity: 4 })] });
  join(core, 'b', { offers: [offer('m', { capacity: 4, digest })] });
  for (let i = 0; i < 8; i++) core.acquire(wanted(), 'bob');
  expect(core.acquire(wanted({ block: ['b'] }), 'alice').node.id).toBe('a');
  expect(core.acquire(wanted({ allow: ['b'] }), 'alice').node.id).toBe('b');
  expect(core.acquire(wanted({ digest }), 'alice').node.id).toBe('b');
  // All that was free there has gone to sessions that came without a reservation.
  core.heartbeat(beat('a', { load: told(0) }), HOSTER);
  const reserved = core.nodes.get('a')?.slots.get('m')?.leases.size;
  core.acquire(wanted({ allow: ['a'] }), 'carol');
  expect(core.nodes.get('a')?.slots.get('m')?.leases.size).toBe((reserved ?? 0) + 1);
});

test('where the router can hold no more reservations the same holds', () => {
  const s = stand({ maxReservations: 4, maxReservationsPerPrincipal: 4 });
  const { core } = fleet(1, 100, s);
  for (let i = 0; i < 4; i++) core.acquire(wanted(), 'bob');
  core.acquire(wanted(), 'alice');
  core.acquire(wanted(), 'alice');
  expect(() => core.acquire(wanted(), 'alice')).toThrow(refusal('HOSTER_FULL'));
  expect(core.sizes().reservations).toBe(4);
});

describe('nodes that are full of sessions', () => {
  /** Two full nodes of four slots; bob has opened all of the sessions with leases. */
  function held(): Stand {
    const s = fleet(2, 4);
    const leases = Array.from({ length: 8 }, () => s.core.acquire(wanted(), 'bob'));
    for (const id of ['n0', 'n1']) {
      const mine = leases.filter(({ node }) => node.id === id);
      const consumedLeaseIds = mine.map(({ lease }) => lease.leaseId);
      s.core.heartbeat(beat(id, { load: told(0), consumedLeaseIds }), HOSTER);
    }
    return s;
  }

  test('are handed out to one who has less than its share, as often as that is', () => {
    const { core } = held();
    for (let i = 0; i < 4; i++) core.acquire(wanted(), 'alice');
    expect(() => core.acquire(wanted(), 'alice')).toThrow(full);
    const spread = [...core.nodes.values()].map(({ slots }) => slots.get('m')?.leases.size);
    expect(spread).toEqual([2, 2]);
  });

  test('are not handed out to the one who holds them alone: it is told to wait', () => {
    const { core } = held();
    try {
      core.acquire(wanted(), 'bob');
      throw new Error('handed out');
    } catch (error) {
      expect(error).toMatchObject({ reason: 'HOSTER_FULL' });
      expect((error as { retryAfterMs: number }).retryAfterMs).toBeGreaterThanOrEqual(500);
    }
  });

  test('count the sessions that hosters tell of: who has its share of them waits', () => {
    const { core } = held();
    const mine = ['s1', 's2', 's3'].map((id) => claim(id, 1, 'alice'));
    const { lease, node } = core.acquire(wanted(), 'alice');
    const opened = { consumedLeaseIds: [lease.leaseId], sessionsOpened: mine };
    core.heartbeat(beat(node.id, { load: told(0), ...opened }), HOSTER);
    core.acquire(wanted(), 'alice');
    expect(() => core.acquire(wanted(), 'alice')).toThrow(full);
    // Of another model she has none.
    join(core, 'x', { offers: [offer('other', { capacity: 2 })] });
    const his = [0, 1].map(() => core.acquire(wanted({ model: 'other' }), 'bob').lease.leaseId);
    const none = { ...told(0), models: told(0).models.map((m) => ({ ...m, model: 'other' })) };
    core.heartbeat(beat('x', { load: none, consumedLeaseIds: his }), HOSTER);
    core.acquire(wanted({ model: 'other' }), 'alice');
  });

  test('do not count sessions that are idle, before they run again', () => {
    const { core } = held();
    const { lease, node } = core.acquire(wanted(), 'alice');
    const mine = (idle: boolean) =>
      Array.from({ length: 20 }, (_, i) => ({ ...claim(`s${i}`, 1, 'alice'), idle }));
    const told0 = { load: told(0), consumedLeaseIds: [lease.leaseId] };
    core.heartbeat(beat(node.id, { ...told0, sessionsOpened: mine(false) }), HOSTER);
    expect(() => core.acquire(wanted(), 'alice')).toThrow(full);
    core.heartbeat(beat(node.id, { load: told(0), sessionsOpened: mine(true) }), HOSTER);
    for (let i = 0; i < 4; i++) core.acquire(wanted(), 'alice');
    expect(() => core.acquire(wanted(), 'alice')).toThrow(full);
    core.heartbeat(beat(node.id, { load: told(0), sessionsOpened: mine(false) }), HOSTER);
    expect(() => core.acquire(wanted(), 'alice')).toThrow(full);
  });

  test('are not denied to somebody by sessions that a hoster makes up', () => {
    const { core } = held();
    const hers = Array.from({ length: 20 }, (_, i) => claim(`s${i}`, 1, 'alice'));
    const others = Array.from({ length: 20 }, (_, i) => claim('s', 1, `nobody-${i}`));
    core.heartbeat(beat('n0', { load: told(0), sessionsOpened: [...hers, ...others] }), HOSTER);
    for (let i = 0; i < 4; i++) core.acquire(wanted(), 'alice');
    expect(() => core.acquire(wanted(), 'alice')).toThrow(full);
  });

  test('tell who else is there by their sessions, where the router has handed none of them out', () => {
    const { core } = fleet(1, 4);
    core.heartbeat(beat('n0', { load: told(0) }), HOSTER);
    expect(() => core.acquire(wanted(), 'alice')).toThrow(full);
    const sessionsOpened = [claim('s', 1, 'bob')];
    core.heartbeat(beat('n0', { load: told(0), sessionsOpened }), HOSTER);
    core.acquire(wanted(), 'alice');
  });

  test('respect the lists of the call', () => {
    const { core } = held();
    expect(core.acquire(wanted({ block: ['n0'] }), 'alice').node.id).toBe('n1');
  });
});

type Step =
  | { readonly do: 'acquire'; readonly who: number }
  | { readonly do: 'release'; readonly which: number }
  | { readonly do: 'wait'; readonly ms: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constant('acquire' as const), who: fc.nat(3) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('release' as const), which: fc.nat(30) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('wait' as const),
      ms: fc.integer({ min: 1, max: 3000 }),
    }),
  },
);

test('nobody is refused below its share while another one is above', async () => {
  let refused = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 100, size: 'max' }),
      fc.integer(),
      async (steps, seed) => {
        const s = stand({
          random: seeded(seed),
          suspectAfterPeriods: 1000,
          offlineAfterPeriods: 1000,
          reservationMs: 4000,
        });
        fleet(2, 5, s);
        const owners = new Map<string, string>();
        const held = (): Map<string, number> => {
          const counts = new Map<string, number>();
          for (const { slots } of s.core.nodes.values())
            for (const id of slots.get('m')?.leases ?? []) {
              const owner = owners.get(id) ?? '';
              counts.set(owner, (counts.get(owner) ?? 0) + 1);
            }
          return counts;
        };
        for (const action of steps)
          switch (action.do) {
            case 'acquire': {
              const who = `p${action.who}`;
              try {
                owners.set(s.core.acquire(wanted(), who).lease.leaseId, who);
              } catch (error) {
                expect(error).toMatchObject({ reason: 'HOSTER_FULL' });
                refused++;
                const counts = held();
                const sharing = new Set([...counts.keys(), who]).size;
                const share = Math.floor(10 / sharing);
                const above = [...counts.values()].some((count) => count > share);
                expect((counts.get(who) ?? 0) < share && above).toBe(false);
              }
              expect([...held().values()].reduce((a, b) => a + b, 0)).toBeLessThanOrEqual(10);
              break;
            }
            case 'release':
              s.core.release([...owners.keys()].at(-1 - action.which) ?? '');
              break;
            case 'wait':
              await s.clock.advance(action.ms);
          }
      },
    ),
    { numRuns: 200 },
  );
  expect(refused).toBeGreaterThan(100);
});
