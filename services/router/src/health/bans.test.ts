import {
  CLIENT,
  HOSTER,
  beat,
  beating,
  join,
  reached,
  registration,
  report,
  stand,
  stateOf,
  wanted,
  refusal,
} from '../core.fixture';
import type { Stand } from '../core.fixture';
import type { RouterObserver } from '../observer';

describe('an address that this router has no way to', () => {
  const told: string[] = [];
  beforeEach(() => {
    told.length = 0;
  });
  const unreachable: RouterObserver = {
    unreachable: ({ address }, why) => void told.push(`${address}: ${why}`),
  };
  const hidden = (id: string): Stand => {
    const s = stand({ banMs: 1000 }, unreachable);
    s.prober.down.add(id);
    join(s.core, id);
    return s;
  };

  test('is tried once at registration and told, and the node serves all the same', async () => {
    const s = hidden('a');
    await beating(s, ['a'], 10_000);
    expect(s.prober.asked.map(({ address }) => address)).toEqual(['a.test:50051']);
    expect(told).toEqual(['a.test:50051: connection refused']);
    expect(stateOf(s.core, 'a')).toBe('ONLINE');
    expect(s.core.acquire(wanted(), CLIENT).node.id).toBe('a');
  });

  test('is tried again when it changes, and not when a process only registers again', async () => {
    const s = hidden('a');
    await s.clock.advance(0);
    s.core.register(registration('a'), HOSTER);
    await s.clock.advance(0);
    expect(s.prober.asked).toHaveLength(1);
    s.core.deregister('a', 'a-1', HOSTER, '');
    s.core.register(registration('a', { address: 'b.test:1' }), HOSTER);
    await s.clock.advance(0);
    expect(told).toEqual(['a.test:50051: connection refused', 'b.test:1: connection refused']);
  });

  test('lets a report keep the node out for a while, not for good', async () => {
    const s = hidden('a');
    await beating(s, ['a'], 1000);
    s.core.report(report('a'), CLIENT);
    await s.clock.advance(0);
    expect(s.core.sizes().banned).toBe(1);
    expect(stateOf(s.core, 'a')).toBe('ONLINE');
    await beating(s, ['a'], 2000);
    expect(s.core.sizes().banned).toBe(0);
    expect(s.core.acquire(wanted(), CLIENT).node.id).toBe('a');
  });

  test('does not make missing heartbeats worse: it expires in its time', async () => {
    const s = hidden('a');
    await s.clock.advance(5500);
    expect(stateOf(s.core, 'a')).toBe('SUSPECT');
    await s.clock.advance(1000);
    expect(s.core.nodes.get('a')?.state).toMatchObject({ kind: 'OFFLINE', cause: 'expired' });
    s.core.heartbeat(beat('a'), HOSTER);
    expect(stateOf(s.core, 'a')).toBe('ONLINE');
  });
});

describe('a failed probe after one report', () => {
  /** A session of this principal opens at the node. */
  const serves = (s: Stand, principal: string): void => {
    const { lease } = s.core.acquire(wanted(), principal);
    s.core.heartbeat(beat('a', { consumedLeaseIds: [lease.leaseId] }), HOSTER);
  };

  test('does not outweigh heartbeats for good: without another report the node is tried again', async () => {
    const s = stand({ reportWindowMs: 10_000 });
    join(s.core, 'a');
    await reached(s);
    s.prober.down.add('a');
    s.core.report(report('a'), CLIENT);
    await beating(s, ['a'], 5000);
    expect(stateOf(s.core, 'a')).toBe('SUSPECT');
    // Probes still fail, at pauses that grow.
    await beating(s, ['a'], 20_000);
    expect(s.prober.asked.length).toBeGreaterThan(2);
    expect(stateOf(s.core, 'a')).toBe('ONLINE');
    expect(s.core.sizes().banned).toBe(0);
    expect(s.core.acquire(wanted(), CLIENT).node.id).toBe('a');
    // It fails whoever tries it: out again, and longer.
    s.core.report(report('a'), CLIENT);
    await s.clock.advance(0);
    expect(stateOf(s.core, 'a')).toBe('SUSPECT');
    expect((s.core.nodes.get('a')?.bannedUntil ?? 0) - s.clock.now()).toBe(10_000);
  });

  test('keeps the node out for as long as reports come', async () => {
    const s = stand({ reportWindowMs: 10_000, reportersToBan: 3 });
    join(s.core, 'a');
    await reached(s);
    s.prober.down.add('a');
    for (let i = 0; i < 8; i++) {
      s.core.report(report('a'), CLIENT);
      await beating(s, ['a'], 5000);
      expect(stateOf(s.core, 'a')).toBe('SUSPECT');
    }
  });

  test('is outweighed by sessions of others that open there at that time', async () => {
    const s = stand();
    join(s.core, 'a');
    await reached(s);
    s.prober.down.add('a');
    serves(s, 'bob');
    s.core.report(report('a'), CLIENT);
    for (let i = 0; i < 10; i++) {
      await beating(s, ['a'], 500, 500);
      expect(stateOf(s.core, 'a')).toBe('ONLINE');
      serves(s, 'bob');
    }
    expect(s.core.sizes().banned).toBe(0);
    expect(s.prober.asked.length).toBeGreaterThan(1);
    // They stop: what the probes say counts.
    await beating(s, ['a'], 15_000);
    expect(stateOf(s.core, 'a')).toBe('SUSPECT');
  });

  test('is not outweighed by the reporter’s own sessions, nor by old ones', async () => {
    const s = stand();
    join(s.core, 'a');
    await reached(s);
    serves(s, 'bob');
    await beating(s, ['a'], 3000);
    serves(s, CLIENT);
    s.prober.down.add('a');
    s.core.report(report('a'), CLIENT);
    await s.clock.advance(0);
    expect(stateOf(s.core, 'a')).toBe('SUSPECT');
    expect(s.core.sizes().banned).toBe(1);
  });
});

describe('bans', () => {
  test('grow with each one, end by themselves, and shrink with sessions that open well', async () => {
    const s = stand({ reportersToBan: 1, banMs: 1000, maxBanMs: 3000, maxBannedShare: 1 });
    join(s.core, 'a');
    const banned = (): number => {
      const until = s.core.nodes.get('a')?.bannedUntil;
      return until === undefined ? 0 : until - s.clock.now();
    };
    for (const length of [1000, 2000, 3000, 3000]) {
      s.core.report(report('a'), CLIENT);
      expect(banned()).toBe(length);
      await beating(s, ['a'], length);
      expect(banned()).toBe(0);
    }
    for (let i = 0; i < 4; i++) {
      await beating(s, ['a'], 1000);
      const { lease } = s.core.acquire(wanted(), CLIENT);
      s.core.heartbeat(beat('a', { consumedLeaseIds: [lease.leaseId] }), HOSTER);
    }
    s.core.report(report('a'), CLIENT);
    expect(banned()).toBe(1000);
  });

  test('need several principals where the node answers probes', () => {
    const { core } = stand({ reportersToBan: 2 });
    join(core, 'a');
    for (let i = 0; i < 5; i++) core.report(report('a'), CLIENT);
    expect(core.sizes().banned).toBe(0);
    core.report(report('a'), 'bob');
    expect(core.sizes().banned).toBe(1);
  });

  test('keep nodes out, at most the configured share, and count for nothing when all are banned', () => {
    const { core } = stand({ reportersToBan: 1, maxBannedShare: 0.5 });
    for (const id of ['a', 'b', 'c', 'd']) join(core, id);
    for (const id of ['a', 'b', 'c', 'd']) core.report(report(id), CLIENT);
    expect(core.sizes().banned).toBe(2);
    for (let i = 0; i < 8; i++)
      expect(['c', 'd']).toContain(core.acquire(wanted(), CLIENT).node.id);
    // c and d are full now, but not banned: a matter of capacity.
    expect(() => core.acquire(wanted(), CLIENT)).toThrow(refusal('HOSTER_FULL'));
    // For a call that may only have banned nodes, bans count for nothing.
    const exclude = ['c', 'd'].map((nodeId) => ({ nodeId, incarnation: '' }));
    expect(['a', 'b']).toContain(core.acquire(wanted({ exclude }), CLIENT).node.id);
    expect(core.acquire(wanted({ allow: ['a'] }), CLIENT).node.id).toBe('a');
  });

  test('belong to an incarnation', () => {
    const { core } = stand({ reportersToBan: 1 });
    join(core, 'a');
    core.report(report('a'), CLIENT);
    expect(core.sizes().banned).toBe(1);
    join(core, 'a', { incarnation: 'a-2' });
    expect(core.sizes().banned).toBe(0);
    expect(core.nodes.get('a')?.bannedUntil).toBeUndefined();
  });
});
