import fc from 'fast-check';
import {
  CLIENT,
  HOSTER,
  beat,
  beating,
  claim,
  join,
  offer,
  seeded,
  stand,
  wanted,
  refusal,
} from '../core.fixture';

test('a reservation counts at once and ends when unused for too long', async () => {
  const s = stand({ reservationMs: 10_000 });
  join(s.core, 'a', { offers: [offer('m', { capacity: 1 })] });
  const { lease } = s.core.acquire(wanted(), CLIENT);
  expect(lease.expiresMs).toBe(s.clock.now() + 10_000);
  expect(() => s.core.acquire(wanted(), CLIENT)).toThrow('no free slot');
  await beating(s, ['a'], 9900, 990);
  expect(s.core.sizes().reservations).toBe(1);
  await beating(s, ['a'], 200, 100);
  expect(s.core.sizes().reservations).toBe(0);
  s.core.acquire(wanted(), CLIENT);
});

test('a consumed lease ends with the heartbeat that lists it, whose free slots already lack it', () => {
  const { core } = stand();
  join(core, 'a', { offers: [offer('m', { capacity: 2 })] });
  const { lease } = core.acquire(wanted(), CLIENT);
  const model = { model: 'm', freeSlots: 1, resumeSlots: 0, queueDepth: 0, stepSeconds: 0 };
  const load = { models: [model], openSessions: 1, eventLoopLagSeconds: 0 };
  core.heartbeat(beat('a', { load, consumedLeaseIds: [lease.leaseId] }), HOSTER);
  expect(core.sizes().reservations).toBe(0);
  core.acquire(wanted(), CLIENT);
  expect(() => core.acquire(wanted(), CLIENT)).toThrow('no free slot');
});

test('a node cannot consume the leases of another', () => {
  const { core } = stand();
  join(core, 'a', { offers: [offer('m')] });
  const { lease } = core.acquire(wanted(), CLIENT);
  join(core, 'b', { offers: [offer('m')] });
  core.heartbeat(beat('b', { consumedLeaseIds: [lease.leaseId, 'nonsense'] }), HOSTER);
  expect(core.sizes().reservations).toBe(1);
});

test('with long heartbeat periods a used slot does not look free before its heartbeat can tell', async () => {
  const s = stand({ heartbeatPeriodMs: 10_000, reservationMs: 1000 });
  join(s.core, 'a', { offers: [offer('m', { capacity: 1 })] });
  s.core.acquire(wanted(), CLIENT);
  await s.clock.advance(9_000);
  expect(() => s.core.acquire(wanted(), CLIENT)).toThrow('no free slot');
});

test('reservations end with their node, and with the model that is no longer offered', () => {
  const { core } = stand();
  join(core, 'a');
  core.acquire(wanted(), CLIENT);
  core.heartbeat(beat('a', { offers: [offer('other')] }), HOSTER);
  expect(core.sizes().reservations).toBe(0);
  core.heartbeat(beat('a', { offers: [offer('m')] }), HOSTER);
  core.acquire(wanted(), CLIENT);
  core.deregister('a', 'a-1', HOSTER, '');
  expect(core.sizes().reservations).toBe(0);
});

test('reservations stay through a change of other models', () => {
  const { core } = stand();
  join(core, 'a');
  core.acquire(wanted(), CLIENT);
  core.heartbeat(beat('a', { offers: [offer('other'), offer('m')] }), HOSTER);
  expect(core.sizes().reservations).toBe(1);
  for (let i = 0; i < 3; i++) core.acquire(wanted(), CLIENT);
  expect(() => core.acquire(wanted(), CLIENT)).toThrow('no free slot');
});

test('reservations are limited in all and per principal', () => {
  const { core } = stand({ maxReservations: 3, maxReservationsPerPrincipal: 2 });
  join(core, 'a', { offers: [offer('m', { capacity: 10 })] });
  core.acquire(wanted(), 'alice');
  core.acquire(wanted(), 'alice');
  expect(() => core.acquire(wanted(), 'alice')).toThrow(refusal('QUOTA_EXCEEDED'));
  core.acquire(wanted(), 'bob');
  // Whoever has none takes one from her who has two, and nobody from those who have one.
  core.acquire(wanted(), 'carol');
  expect(() => core.acquire(wanted(), 'dave')).toThrow(
    refusal('HOSTER_FULL', { limit: 'maxReservations' }),
  );
});

/** Nodes as they really are: sessions they run, opened with leases or past the router. */
interface Model {
  readonly running: Map<string, number>;
  readonly leases: { readonly id: string; readonly node: string }[];
}

type Action =
  | { readonly do: 'acquire'; readonly resume: boolean }
  | { readonly do: 'open'; readonly which: number }
  | { readonly do: 'openPast'; readonly node: number }
  | { readonly do: 'close'; readonly node: number }
  | { readonly do: 'beat'; readonly node: number }
  | { readonly do: 'restart'; readonly node: number }
  | { readonly do: 'wait'; readonly ms: number };

const NODES = 3;
const CAPACITY = 4;
/** Of those, for sessions that resume. */
const KEPT = 1;
const node = fc.integer({ min: 0, max: NODES - 1 });
const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('acquire' as const), resume: fc.boolean() }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('open' as const), which: fc.nat(20) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('openPast' as const), node }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('close' as const), node }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('beat' as const), node }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const), node }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('wait' as const),
      ms: fc.integer({ min: 1, max: 3000 }),
    }),
  },
);

test('whatever happens, no more is reserved than the node said is free, and nothing leaks', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(action, { maxLength: 120 }), fc.integer(), async (actions, seed) => {
      const s = stand({
        random: seeded(seed),
        offlineAfterPeriods: 1000,
        suspectAfterPeriods: 1000,
        forgetAfterMs: 1000,
        reservationMs: 4000,
      });
      const real: Model = { running: new Map(), leases: [] };
      const starts = new Map<string, number>();
      const consumed = new Map<string, string[]>();
      const incarnation = (id: string): string => `${id}-${starts.get(id) ?? 0}`;
      const start = (id: string): void => {
        starts.set(id, (starts.get(id) ?? 0) + 1);
        real.running.set(id, 0);
        consumed.set(id, []);
        const offers = [offer('m', { capacity: CAPACITY })];
        join(s.core, id, { incarnation: incarnation(id), offers });
      };
      const tell = (id: string): void => {
        const running = real.running.get(id) ?? 0;
        const model = {
          model: 'm',
          freeSlots: Math.max(0, CAPACITY - KEPT - running),
          resumeSlots: Math.min(KEPT, CAPACITY - running),
          queueDepth: 0,
          stepSeconds: 0,
        };
        const load = { models: [model], openSessions: running, eventLoopLagSeconds: 0 };
        const consumedLeaseIds = consumed.get(id) ?? [];
        const more = { incarnation: incarnation(id), load, consumedLeaseIds };
        s.core.heartbeat(beat(id, more), HOSTER);
        consumed.set(id, []);
      };
      const open = (id: string): boolean => {
        const running = real.running.get(id) ?? 0;
        if (running >= CAPACITY) return false;
        real.running.set(id, running + 1);
        return true;
      };
      const ids = Array.from({ length: NODES }, (_, i) => `n${i}`);
      ids.forEach(start);
      // Any number of sessions of which it is known that they are somewhere.
      const known = actions.map((_, i) => claim(`s${i}`));
      s.core.heartbeat(beat('n0', { incarnation: 'n0-1', sessionsOpened: known }), HOSTER);
      for (const [i, step] of actions.entries()) {
        switch (step.do) {
          case 'acquire':
            try {
              const { lease, node: given } = s.core.acquire(
                wanted({ resume: step.resume, sessionId: `s${i}` }),
                CLIENT,
              );
              const slot = given.slots.get('m');
              // Judged at the hand-out: later heartbeats may tell of sessions from elsewhere.
              const room = (slot?.free ?? 0) + (step.resume ? (slot?.kept ?? 0) : 0);
              expect(slot?.leases.size).toBeLessThanOrEqual(room);
              real.leases.push({ id: lease.leaseId, node: given.id });
            } catch (error) {
              expect(error).toMatchObject({ reason: 'HOSTER_FULL' });
            }
            break;
          case 'open': {
            const [lease] = real.leases.splice(step.which % Math.max(1, real.leases.length), 1);
            if (lease !== undefined && open(lease.node)) consumed.get(lease.node)?.push(lease.id);
            break;
          }
          case 'openPast':
            open(ids[step.node] ?? '');
            break;
          case 'close': {
            const id = ids[step.node] ?? '';
            real.running.set(id, Math.max(0, (real.running.get(id) ?? 0) - 1));
            break;
          }
          case 'beat':
            tell(ids[step.node] ?? '');
            break;
          case 'restart':
            start(ids[step.node] ?? '');
            break;
          case 'wait':
            await s.clock.advance(step.ms);
        }
      }
      await s.clock.advance(4001);
      expect(s.core.sizes().reservations).toBe(0);
      for (const { slots } of s.core.nodes.values()) expect(slots.get('m')?.leases.size).toBe(0);
      for (const id of ids) s.core.deregister(id, incarnation(id), HOSTER, 'over');
      await s.clock.advance(2000);
      expect(s.core.footprint).toBe(0);
    }),
    { numRuns: 100 },
  );
});
