/** Places that are given several at once are reservations like any other. */
import { HOSTER, beat, beating, claim, join, offer, refusal, stand, wanted } from '../core.fixture';
import type { Stand } from '../core.fixture';
import type { LeaseEnd } from './leases';

function fleet(nodes: number, capacity: number, s = stand()): Stand {
  for (let i = 0; i < nodes; i++) join(s.core, `n${i}`, { offers: [offer('m', { capacity })] });
  return s;
}

function pack({ core }: Stand, principal: string, count: number): number {
  core.acquire(wanted(), principal);
  return 1 + core.more(wanted(), principal, count - 1).length;
}

test('a pack is at most sixteen places, spread over the nodes', () => {
  const s = fleet(4, 100);
  expect(pack(s, 'alice', 1)).toBe(1);
  expect(pack(s, 'alice', 5)).toBe(5);
  expect(pack(s, 'alice', 1000)).toBe(16);
  expect(s.core.sizes().reservations).toBe(22);
  const taken = [...s.core.nodes.values()].map(({ slots }) => slots.get('m')?.leases.size ?? 0);
  expect(Math.min(...taken)).toBeGreaterThan(0);
});

test('a pack takes no more than a share of what is free, and less where others use the model', () => {
  const s = fleet(1, 17);
  // The first leaves 16 free: a quarter of those.
  expect(pack(s, 'alice', 16)).toBe(5);
  // 11 are left after his first: a quarter, halved.
  expect(pack(s, 'bob', 16)).toBe(2);
  for (let i = 0; i < 10; i++) s.core.acquire(wanted(), 'carol');
  expect(s.core.more(wanted(), 'carol', 15)).toEqual([]);
});

test('who has packs gives way as anybody who reserves and opens nothing', () => {
  const ends: LeaseEnd[] = [];
  const s = fleet(1, 40, stand({}, { leaseEnded: (end) => ends.push(end) }));
  let bobs = 0;
  while (bobs < 40) bobs += pack(s, 'bob', Math.min(16, 40 - bobs));
  expect(() => s.core.acquire(wanted(), 'bob')).toThrow(refusal('HOSTER_FULL'));
  for (let i = 0; i < 20; i++) s.core.acquire(wanted(), 'alice');
  expect(ends).toEqual(Array(20).fill('reclaimed'));
});

test('a pack takes nothing from anybody, and stays within the limits', () => {
  const s = fleet(1, 100, stand({ maxReservationsPerPrincipal: 4 }));
  expect(pack(s, 'alice', 16)).toBe(4);
  expect(() => s.core.acquire(wanted(), 'alice')).toThrow(refusal('QUOTA_EXCEEDED'));
});

test('the rest of a pack ends unused and says nothing of its node', async () => {
  const s = fleet(1, 100, stand({ reservationMs: 1000 }));
  s.core.more(wanted(), 'alice', 10);
  expect(s.core.sizes().reservations).toBe(10);
  await beating(s, ['n0'], 3000, 500);
  expect(s.core.sizes().reservations).toBe(0);
  expect(s.core.nodes.get('n0')?.standing.clean).toBe(true);
  s.core.acquire(wanted(), 'alice');
  await beating(s, ['n0'], 3000, 500);
  expect(s.core.nodes.get('n0')?.standing.clean).toBe(false);
});

test('places are given back by their principal only', () => {
  const s = fleet(1, 100);
  const [first, second] = s.core.more(wanted(), 'alice', 2);
  s.core.giveBack(first?.lease.leaseId ?? '', 'bob');
  s.core.giveBack('no such lease', 'alice');
  expect(s.core.sizes().reservations).toBe(2);
  s.core.giveBack(first?.lease.leaseId ?? '', 'alice');
  expect(s.core.sizes().reservations).toBe(1);
  s.core.heartbeat(beat('n0', { consumedLeaseIds: [second?.lease.leaseId ?? ''] }), HOSTER);
  expect(s.core.sizes().reservations).toBe(0);
});

test('a session that goes on from elsewhere has one place', () => {
  const s = fleet(1, 100);
  s.core.heartbeat(beat('n0', { sessionsOpened: [claim('s')] }), HOSTER);
  expect(s.core.more(wanted({ resume: true, sessionId: 's' }), 'alice', 10)).toEqual([]);
});
