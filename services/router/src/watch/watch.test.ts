import { CabstandError, FakeClock } from '@cabstand/core';
import type { Clock } from '@cabstand/core';
import {
  CLIENT,
  HOSTER,
  beat,
  beating,
  join,
  offer,
  registration,
  seeded,
  stand,
} from '../core.fixture';
import type { WatchUpdate } from './watcher';
import type { Watch, WatchWanted } from './hub';
import type { Stand } from '../core.fixture';

/** A watcher that reads as fast as it can, or not at all until told to. */
class Reader {
  readonly updates: WatchUpdate[] = [];
  readonly #abort = new AbortController();
  readonly #stream: Promise<Watch>;
  ended: unknown;

  constructor(s: Stand, wanted: Partial<WatchWanted> = {}, principal = CLIENT) {
    const all = { models: ['m'], maxNodes: 0, ...wanted };
    this.#stream = s.core.watch(all, principal, this.#abort.signal);
    this.#stream.catch((error: unknown) => (this.ended = error));
  }

  read(): this {
    void this.#read();
    return this;
  }

  async one(): Promise<WatchUpdate | undefined> {
    const next = await (await this.#stream).next();
    return next.done === true ? undefined : next.value;
  }

  stop(): void {
    this.#abort.abort();
  }

  /** What the reader believes: node id → state. */
  get view(): Record<string, string> {
    const view = new Map<string, string>();
    for (const { snapshot, nodes, removed } of this.updates) {
      if (snapshot) view.clear();
      for (const { id, incarnation, state } of nodes) view.set(id, `${incarnation} ${state.kind}`);
      for (const id of removed) view.delete(id);
    }
    return Object.fromEntries(view);
  }

  async #read(): Promise<void> {
    try {
      for await (const update of await this.#stream) {
        // Nodes change under the reader's hands: what it saw is kept as it was.
        const nodes = update.nodes.map((node) => ({ ...node }));
        this.updates.push({ ...update, nodes });
      }
      this.ended = 'quietly';
    } catch (error) {
      this.ended = error;
    }
  }
}

test('a snapshot, then what changes, gathered for a while', async () => {
  const s = stand();
  join(s.core, 'a');
  const reader = new Reader(s).read();
  await s.clock.advance(0);
  expect(reader.updates).toMatchObject([{ snapshot: true, nodes: [{ id: 'a' }] }]);
  join(s.core, 'b');
  s.core.drain('a', 1000);
  s.core.heartbeat(beat('a', { impairments: ['slow'] }), HOSTER);
  await s.clock.advance(99);
  expect(reader.updates).toHaveLength(1);
  await s.clock.advance(1);
  expect(reader.updates).toHaveLength(2);
  expect(reader.view).toEqual({ a: 'a-1 SUSPECT', b: 'b-1 ONLINE' });
});

test('an empty fleet is an empty snapshot', async () => {
  const s = stand();
  const reader = new Reader(s).read();
  await s.clock.advance(0);
  expect(reader.updates).toEqual([{ snapshot: true, nodes: [], removed: [] }]);
});

test('changes of load alone wait longer; heartbeats that change nothing tell nothing', async () => {
  const s = stand();
  join(s.core, 'a');
  const reader = new Reader(s).read();
  await s.clock.advance(0);
  const model = { model: 'm', freeSlots: 2, resumeSlots: 0, queueDepth: 0, stepSeconds: 0 };
  const load = { models: [model], openSessions: 2, eventLoopLagSeconds: 0 };
  s.core.heartbeat(beat('a', { load }), HOSTER);
  await s.clock.advance(900);
  expect(reader.updates).toHaveLength(1);
  await s.clock.advance(100);
  expect(reader.updates).toHaveLength(2);
  for (let i = 0; i < 5; i++) {
    s.core.heartbeat(beat('a', { load }), HOSTER);
    await s.clock.advance(1000);
  }
  expect(reader.updates).toHaveLength(2);
});

test('the more watchers there are, the longer changes of load wait; others do not', async () => {
  const s = stand({ watchLoadsPerSecond: 5, maxWatchersPerPrincipal: 100 });
  join(s.core, 'a');
  const readers = Array.from({ length: 10 }, () => new Reader(s).read());
  await s.clock.advance(0);
  const told = (): number => readers.filter(({ updates }) => updates.length > 1).length;
  const load = { models: [], openSessions: 2, eventLoopLagSeconds: 0 };
  s.core.heartbeat(beat('a', { load }), HOSTER);
  await s.clock.advance(1999);
  expect(told()).toBe(0);
  s.core.heartbeat(beat('a', { load }), HOSTER);
  await s.clock.advance(1);
  expect(told()).toBe(10);
  readers.forEach(({ updates }) => (updates.length = 1));
  s.core.heartbeat(beat('a', { load: { ...load, openSessions: 3 } }), HOSTER);
  s.core.drain('a', 1000);
  await s.clock.advance(100);
  expect(told()).toBe(10);
});

test('only the models asked for; a node that drops one is gone for its watchers', async () => {
  const s = stand();
  join(s.core, 'a');
  join(s.core, 'x', { offers: [offer('other')] });
  const reader = new Reader(s).read();
  const all = new Reader(s, { models: [] }).read();
  await s.clock.advance(200);
  expect(Object.keys(reader.view)).toEqual(['a']);
  expect(Object.keys(all.view).sort()).toEqual(['a', 'x']);
  s.core.heartbeat(beat('a', { offers: [offer('other')] }), HOSTER);
  s.core.heartbeat(beat('x', { offers: [offer('m')] }), HOSTER);
  await s.clock.advance(200);
  expect(Object.keys(reader.view)).toEqual(['x']);
  expect(Object.keys(all.view).sort()).toEqual(['a', 'x']);
});

test('OFFLINE is told with its reason, then taken back; a new process is simply newer', async () => {
  const s = stand();
  join(s.core, 'a');
  const reader = new Reader(s).read();
  await s.clock.advance(200);
  join(s.core, 'a', { incarnation: 'a-2' });
  await s.clock.advance(200);
  expect(reader.view).toEqual({ a: 'a-2 ONLINE' });
  expect(reader.updates.at(-1)).toMatchObject({ nodes: [{ incarnation: 'a-2' }], removed: [] });
  s.core.deregister('a', 'a-2', HOSTER, 'stopping');
  await s.clock.advance(200);
  expect(reader.updates.at(-2)).toMatchObject({
    nodes: [{ id: 'a', state: { kind: 'OFFLINE', reasons: ['deregistered: stopping'] } }],
  });
  expect(reader.updates.at(-1)).toMatchObject({ nodes: [], removed: ['a'] });
});

test('a node that comes back after it was taken back is told again', async () => {
  const s = stand();
  join(s.core, 'a');
  const reader = new Reader(s).read();
  s.prober.down.add('a');
  await s.clock.advance(3000);
  expect(reader.view).toEqual({});
  s.prober.down.delete('a');
  await beating(s, ['a'], 3000, 500);
  expect(reader.view).toEqual({ a: 'a-1 ONLINE' });
});

test('of a large fleet a watcher follows a part, and gets substitutes for those that go', async () => {
  const s = stand({ random: seeded(3) });
  for (let i = 0; i < 500; i++) join(s.core, `n${i}`);
  const reader = new Reader(s).read();
  const few = new Reader(s, { maxNodes: 5 }).read();
  await s.clock.advance(0);
  expect(Object.keys(reader.view)).toHaveLength(100);
  expect(Object.keys(few.view)).toHaveLength(5);
  for (const id of Object.keys(few.view)) s.core.deregister(id, `${id}-1`, HOSTER, '');
  await s.clock.advance(500);
  expect(Object.keys(few.view)).toHaveLength(5);
  for (const id of Object.keys(few.view)) expect(s.core.nodes.get(id)?.state.kind).toBe('ONLINE');
});

test('a slow watcher gets the latest state only, and holds no more than it follows', async () => {
  const s = stand();
  for (let i = 0; i < 20; i++) join(s.core, `n${i}`);
  const slow = new Reader(s);
  expect(await slow.one()).toMatchObject({ snapshot: true });
  for (let round = 0; round < 50; round++)
    for (let i = 0; i < 20; i++) {
      s.core.heartbeat(beat(`n${i}`, { impairments: round % 2 === 0 ? ['bad'] : [] }), HOSTER);
      await s.clock.advance(5);
    }
  const update = await slow.one();
  expect(update?.nodes).toHaveLength(20);
  for (const node of update?.nodes ?? []) expect(node.state.kind).toBe('ONLINE');
});

test('watches end quietly with their caller and loudly with the router; nothing stays', async () => {
  const s = stand({ forgetAfterMs: 0 });
  join(s.core, 'a');
  const one = new Reader(s).read();
  const other = new Reader(s).read();
  await s.clock.advance(0);
  expect(s.core.sizes().watchers).toBe(2);
  one.stop();
  await s.clock.advance(0);
  expect(one.ended).toBe('quietly');
  expect(s.core.sizes().watchers).toBe(1);
  s.core.deregister('a', 'a-1', HOSTER, '');
  await s.clock.advance(1000);
  s.core.stop(new CabstandError('DRAINING', 'the router is stopping'));
  await s.clock.advance(0);
  expect(other.ended).toMatchObject({ reason: 'DRAINING' });
  expect(s.core.footprint).toBe(0);
});

test('requests for watches are checked', async () => {
  const t = stand();
  const ended = async (wanted: Partial<WatchWanted>): Promise<unknown> => {
    const reader = new Reader(t, wanted).read();
    await t.clock.advance(0);
    return reader.ended;
  };
  expect(await ended({ models: ['NO'] })).toMatchObject({ metadata: { field: 'models[0]' } });
  expect(await ended({ maxNodes: -1 })).toMatchObject({ metadata: { field: 'max_nodes' } });
});

const overQuota = (limit: string): unknown =>
  expect.objectContaining({ reason: 'QUOTA_EXCEEDED', metadata: { limit }, retryAfterMs: 5000 });

test('a principal has a share of the watchers, by default a quarter', async () => {
  const s = stand({ maxWatchers: 8 });
  const mine = [0, 1, 2].map(() => new Reader(s).read());
  const theirs = new Reader(s, {}, 'bob').read();
  await s.clock.advance(4999);
  // Who does not heed the advice when to come again is held up.
  expect(mine[2]?.ended).toBeUndefined();
  await s.clock.advance(10_001);
  expect(mine[2]?.ended).toEqual(overQuota('max_watchers_per_principal'));
  expect([mine[0]?.ended, mine[1]?.ended, theirs.ended]).toEqual([undefined, undefined, undefined]);
  expect(s.core.sizes().watchers).toBe(3);
  expect(() => stand({ maxWatchers: 8, maxWatchersPerPrincipal: 9 })).toThrow('maxWatchers (8)');
});

test('refused watches that wait end with their caller and with the router', async () => {
  const s = stand({ maxWatchers: 1 });
  const [first, second, third] = [0, 1, 2].map(() => new Reader(s).read());
  second?.stop();
  await s.clock.advance(0);
  expect([first?.ended, third?.ended]).toEqual([undefined, undefined]);
  expect(second?.ended).toBeDefined();
  s.core.stop(new CabstandError('DRAINING', 'the router is stopping'));
  await s.clock.advance(0);
  expect(third?.ended).toBeDefined();
  expect(s.core.footprint).toBe(0);
});

test('when there are no more, the newest of the principal with most goes to one that has fewer', async () => {
  const s = stand({ maxWatchers: 4, maxWatchersPerPrincipal: 4, watchRefusalMs: 0 });
  const open = (principal: string): Reader => new Reader(s, {}, principal).read();
  const mine = [0, 1, 2, 3, 4].map(() => open('alice'));
  await s.clock.advance(0);
  const theirs = [0, 1, 2].map(() => open('bob'));
  await s.clock.advance(0);
  const gone = overQuota('max_watchers');
  expect(mine[4]?.ended).toEqual(overQuota('max_watchers_per_principal'));
  expect(mine.slice(0, 4).map(({ ended }) => ended)).toEqual([undefined, undefined, gone, gone]);
  // Two each: nobody has so many more that another change would make it more even.
  expect(theirs.map(({ ended }) => ended)).toEqual([undefined, undefined, gone]);
  const other = open('carol');
  await s.clock.advance(0);
  expect(other.ended).toBeUndefined();
  expect(s.core.sizes().watchers).toBe(4);
});

test('a watch that is taken back ends though its reader reads nothing', async () => {
  const s = stand({ maxWatchers: 2, maxWatchersPerPrincipal: 2 });
  join(s.core, 'a');
  const open = () =>
    s.core.watch({ models: ['m'], maxNodes: 0 }, CLIENT, new AbortController().signal);
  await open();
  const stuck = await open();
  await stuck.next();
  const write = stuck.until(new Promise(() => undefined));
  new Reader(s, {}, 'bob');
  await expect(write).rejects.toMatchObject({ reason: 'QUOTA_EXCEEDED' });
  await expect(stuck.until(Promise.resolve())).rejects.toMatchObject({ reason: 'QUOTA_EXCEEDED' });
});

test('many watchers are told in several turns of the event loop, in the order of their due times', async () => {
  const s = stand({ maxWatchers: 1000 });
  join(s.core, 'a');
  const readers = Array.from({ length: 220 }, () => new Reader(s).read());
  await s.clock.advance(0);
  s.core.drain('a', 1000);
  const told = (): number => readers.filter(({ updates }) => updates.length === 2).length;
  await s.clock.advance(100);
  const counts = [told()];
  while (told() < 220 && counts.length < 20) {
    await new Promise((resolve) => setImmediate(resolve));
    await s.clock.advance(0);
    counts.push(told());
  }
  expect(told()).toBe(220);
  expect(counts.length).toBeGreaterThanOrEqual(4);
  for (const reader of readers) expect(reader.view).toEqual({ a: 'a-1 DRAINING' });
});

test('a ban shows', async () => {
  const s = stand({ reportersToBan: 1 });
  s.core.register(registration('a'), HOSTER);
  const reader = new Reader(s).read();
  await s.clock.advance(0);
  s.core.report({ nodeId: 'a', incarnation: '', leaseId: '', reason: 'NODE_STALLED' }, CLIENT);
  await s.clock.advance(100);
  expect(reader.updates.at(-1)?.nodes[0]?.bannedUntil).toBeGreaterThan(s.clock.now());
});

test('a timer that fires a little early still tells', async () => {
  const clock = new FakeClock();
  const early: Clock = {
    now: () => clock.now(),
    monotonic: () => clock.monotonic(),
    setTimer: (callback, ms) => clock.setTimer(callback, ms - 0.5),
  };
  const s = stand({ clock: early });
  join(s.core, 'a');
  const reader = new Reader({ ...s, clock }).read();
  await clock.advance(0);
  s.core.drain('a', 1000);
  await clock.advance(200);
  expect(reader.view).toEqual({ a: 'a-1 DRAINING' });
});
