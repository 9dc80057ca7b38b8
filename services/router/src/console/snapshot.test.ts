/** What a snapshot costs, and that nobody pays for it who does not look. */
import { FakeClock } from '@cabstand/core';
import { HOSTER, beat, claim, join, offer, registration, report, stand } from '../core.fixture';
import type { RouterCore } from '../core';
import { Gateways } from './gateways';
import { Happenings } from './happenings';
import { Snapshots } from './snapshot';
import type { Moment } from './snapshot';
import { Viewers } from './viewers';
import type { Snapshot } from './view';

/** What a viewer loads each second, at most. */
const MOST_BYTES = 200_000;

function rig(options = {}) {
  const clock = new FakeClock();
  const happenings = new Happenings(clock);
  const stood = stand({ clock, ...options }, happenings.observer);
  const gateways = new Gateways();
  const snapshots = new Snapshots({ core: stood.core, happenings, gateways });
  return { ...stood, clock, happenings, gateways, snapshots };
}

const failed = (error: unknown): void => {
  throw error;
};

const read = (moment: Moment, detailed = false): Snapshot =>
  JSON.parse(moment.text(detailed)) as Snapshot;

/** As much of everything as a hoster may say. */
function fill(core: RouterCore, nodes: number): void {
  const long = (text: string, length: number): string => text.padEnd(length, 'x');
  for (let i = 0; i < nodes; i++) {
    const id = long(`node-${String(i)}-`, 128);
    const offers = Array.from({ length: 4 }, (_, m) =>
      offer(long(`model-${String(m + (i % 100) * 4)}-`, 64), {
        version: long('v', 64),
        provider: long('p', 64),
        kind: long('k', 64),
        reference: long('r', 64),
      }),
    );
    core.register(registration(id, { offers, incarnation: `i${String(i)}` }), HOSTER);
    const impairments = Array.from({ length: 16 }, () => long('bad ', 1000));
    core.heartbeat(beat(id, { incarnation: `i${String(i)}`, impairments }), HOSTER);
  }
}

test('of 10,000 nodes that say all that they may a snapshot is as large as of 100', async () => {
  const bytes: number[] = [];
  for (const nodes of [100, 10_000]) {
    const { core, snapshots } = rig();
    fill(core, nodes);
    const moment = await snapshots.make();
    const snapshot = read(moment);
    expect(snapshot.nodes).toMatchObject({ known: nodes, byState: { SUSPECT: nodes } });
    expect(snapshot.rows).toHaveLength(50);
    expect(snapshot.models).toHaveLength(50);
    expect(snapshot.modelsKnown).toBe(400);
    bytes.push(Buffer.byteLength(moment.text(true)));
  }
  for (const size of bytes) expect(size).toBeLessThan(MOST_BYTES);
  expect(bytes[1]).toBeLessThan(bytes[0]! * 1.1);
});

test('nothing is made while nobody watches, and once a second while many do', async () => {
  const { clock, snapshots } = rig();
  let made = 0;
  const make = (): Promise<Moment> => {
    made++;
    return snapshots.make();
  };
  const viewers = new Viewers({ clock, make, failed });
  await clock.advance(60_000);
  expect(made).toBe(0);
  const got: string[][] = [[], [], []];
  const ends = got.map((list) =>
    viewers.watch({ detailed: false, send: (text) => void list.push(text) }),
  );
  await clock.advance(0);
  expect(made).toBe(1);
  await clock.advance(10_000);
  expect(made).toBe(11);
  for (const list of got) expect(list).toEqual(got[0]);
  expect(got[0]).toHaveLength(11);
  for (const end of ends) end();
  await clock.advance(60_000);
  expect(made).toBe(11);
  // Who comes and goes does not make it happen more often.
  for (let i = 0; i < 5; i++) viewers.watch({ detailed: false, send: () => undefined })();
  expect(made).toBe(12);
  viewers.stop();
});

test('snapshots that take long are made less often', async () => {
  const { clock, snapshots } = rig();
  let made = 0;
  const make = async (): Promise<Moment> => {
    made++;
    return { ...(await snapshots.make()), workMs: 200 };
  };
  const viewers = new Viewers({ clock, make, failed });
  viewers.watch({ detailed: false, send: () => undefined });
  await clock.advance(0);
  await clock.advance(9000);
  expect(made).toBe(1);
  await clock.advance(1000);
  expect(made).toBe(2);
});

test('the history of the charts has an end', async () => {
  const { clock, snapshots } = rig();
  const viewers = new Viewers({ clock, make: () => snapshots.make(), failed });
  viewers.watch({ detailed: false, send: () => undefined });
  for (let i = 0; i < 500; i++) await clock.advance(1000);
  expect(viewers.history).toHaveLength(300);
  viewers.stop();
});

test('rates are of the time since the moment before', async () => {
  const { core, clock, snapshots } = rig();
  join(core, 'a');
  const wanted = { model: 'm', digest: '', exclude: [], allow: [], block: [], resume: false };
  expect((await snapshots.make()).point.handOutsPerSecond).toBeNull();
  await clock.advance(2000);
  core.heartbeat(beat('a'), HOSTER);
  for (let i = 0; i < 4; i++) core.acquire({ ...wanted, sessionId: '' }, 'alice');
  expect(() => core.acquire({ ...wanted, model: 'other', sessionId: '' }, 'alice')).toThrow();
  expect((await snapshots.make()).point).toMatchObject({
    handOutsPerSecond: 2,
    refusedPerSecond: 0.5,
  });
});

test('sessions that go on elsewhere are told, many at once as one', async () => {
  const { core, clock, snapshots } = rig();
  join(core, 'a');
  join(core, 'b');
  const ids = ['s1', 's2', 's3'];
  core.heartbeat(beat('a', { sessionsOpened: ids.map((id) => claim(id)) }), HOSTER);
  core.heartbeat(beat('b', { sessionsOpened: [claim('own')] }), HOSTER);
  expect(read(await snapshots.make()).totals.moved).toBe(0);
  await clock.advance(1000);
  core.heartbeat(beat('b', { sessionsOpened: ids.map((id) => claim(id, 2)) }), HOSTER);
  const { totals, happenings } = read(await snapshots.make());
  expect(totals.moved).toBe(3);
  expect(happenings[0]).toMatchObject({ kind: 'moved', text: '3 sessions go on at b, from a' });
  // Told again, and by the one that it left: that is no move.
  core.heartbeat(beat('b', { sessionsOpened: ids.map((id) => claim(id, 2)) }), HOSTER);
  core.heartbeat(beat('a', { sessionsOpened: ids.map((id) => claim(id)) }), HOSTER);
  expect(read(await snapshots.make()).totals.moved).toBe(3);
});

test('a session that its hoster gave up before another has it moved, too', async () => {
  const { core, clock, snapshots } = rig();
  join(core, 'a');
  join(core, 'b');
  core.heartbeat(beat('a', { sessionsOpened: [claim('s')] }), HOSTER);
  core.heartbeat(beat('a', { sessionsClosed: [{ sessionId: 's' }] }), HOSTER);
  await clock.advance(1000);
  core.heartbeat(beat('b', { sessionsOpened: [claim('s', 2)] }), HOSTER);
  expect(read(await snapshots.make()).totals.moved).toBe(1);
});

test('the path of a session is told: where it was, what was known of its hoster then, and where it is', async () => {
  const { core, clock, happenings } = rig();
  join(core, 'a');
  join(core, 'b');
  core.heartbeat(beat('a', { sessionsOpened: [claim('s'), claim('other')] }), HOSTER);
  expect(happenings.paths.of(core, 's')).toMatchObject([
    { now: [{ node: 'a', state: 'ONLINE', epoch: 1 }], steps: [] },
  ]);
  core.drain('a', undefined);
  await clock.advance(1000);
  const at = clock.now();
  core.heartbeat(beat('b', { sessionsOpened: [claim('s', 2)] }), HOSTER);
  core.heartbeat(beat('a', { sessionsClosed: [{ sessionId: 's' }] }), HOSTER);
  const step = { at, from: 'a', to: 'b', epoch: 2 };
  const [path, ...more] = happenings.paths.of(core, 's');
  expect(more).toEqual([]);
  expect(path).toMatchObject({ now: [{ node: 'b', epoch: 2 }], steps: [step] });
  expect(path?.steps[0]?.why).toContain('a was DRAINING');
  // It is remembered when nobody has the session any more.
  core.heartbeat(beat('b', { sessionsClosed: [{ sessionId: 's' }] }), HOSTER);
  expect(happenings.paths.of(core, 's')).toMatchObject([{ now: [], steps: [step] }]);
  expect(happenings.paths.of(core, 'unknown')).toEqual([]);
});

test('of a session that moves again and again the newest moves are kept', async () => {
  const { core, clock, happenings } = rig();
  join(core, 'a');
  join(core, 'b');
  for (let epoch = 1; epoch <= 40; epoch++) {
    await clock.advance(100);
    const [to, from] = epoch % 2 === 0 ? ['a', 'b'] : ['b', 'a'];
    core.heartbeat(beat(to, { sessionsOpened: [claim('s', epoch)] }), HOSTER);
    core.heartbeat(beat(from, { sessionsClosed: [{ sessionId: 's' }] }), HOSTER);
  }
  const steps = happenings.paths.of(core, 's')[0]?.steps;
  expect(steps).toHaveLength(16);
  expect(steps?.at(-1)).toMatchObject({ to: 'a', epoch: 40 });
});

test('records a second and the time to the first chunk are those that hosters tell', async () => {
  const { core, snapshots } = rig();
  const told = (recordsPerSecond: number, firstChunkSeconds: number) => ({
    models: [
      {
        model: 'm',
        freeSlots: 1,
        resumeSlots: 0,
        queueDepth: 0,
        stepSeconds: 0,
        recordsPerSecond,
        firstChunkSeconds,
      },
    ],
    openSessions: 1,
    eventLoopLagSeconds: 0,
  });
  join(core, 'a');
  join(core, 'b');
  join(core, 'c');
  core.heartbeat(beat('a', { load: told(100.04, 0.2) }), HOSTER);
  core.heartbeat(beat('b', { load: told(50, 0.4) }), HOSTER);
  core.heartbeat(beat('c', { load: told(NaN, 0) }), HOSTER);
  const pace = { recordsPerSecond: 150, firstChunkMs: 300 };
  const { point, models } = read(await snapshots.make());
  expect(point).toMatchObject(pace);
  expect(models).toMatchObject([{ name: 'm', ...pace }]);
});

test('a snapshot that fails is told, and the next one comes', async () => {
  const { clock, snapshots } = rig();
  let fails = true;
  const told: unknown[] = [];
  const viewers = new Viewers({
    clock,
    make: () => (fails ? Promise.reject(new Error('broken')) : snapshots.make()),
    failed: (error) => void told.push(error),
  });
  const got: string[] = [];
  viewers.watch({ detailed: false, send: (text) => void got.push(text) });
  await clock.advance(0);
  expect(told).toEqual([new Error('broken')]);
  fails = false;
  await clock.advance(1000);
  expect(got).toHaveLength(1);
  viewers.stop();
});

test('what needs somebody comes first, and only administrators are told all', async () => {
  const { core, clock, snapshots, gateways, prober } = rig();
  for (const id of ['a', 'b', 'c']) join(core, id);
  await clock.advance(0);
  core.drain('b', undefined);
  prober.down.add('c');
  core.report(report('c'), 'alice');
  await clock.advance(100);
  const leave = gateways.follows({ id: 'gate', roles: new Set(['gateway']) });
  gateways.follows({ id: 'alice', roles: new Set(['client']) });
  const moment = await snapshots.make();
  const all = read(moment);
  expect(all.rows.map(({ id, state }) => [id, state])).toEqual([
    ['c', 'SUSPECT'],
    ['b', 'DRAINING'],
    ['a', 'ONLINE'],
  ]);
  expect(all).toMatchObject({ gatewaysKnown: 1, gateways: null });
  expect(all.totals.reports).toBe(1);
  const detailed = read(moment, true);
  expect(detailed.gateways).toEqual([{ principal: 'gate', streams: 1 }]);
  expect(moment.text(false)).not.toContain('the last probe met');
  expect(moment.text(true)).toContain('the last probe met: connection refused');
  leave();
  expect(read(await snapshots.make()).gatewaysKnown).toBe(0);
});
