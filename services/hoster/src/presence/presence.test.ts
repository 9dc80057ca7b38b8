import { CabstandError, systemClock } from '@cabstand/core';
import { RpcClient, toDuration } from '@cabstand/rpc';
import { FakeHost, testSealer } from '@cabstand/testing';
import { Sessions } from '@cabstand/sessions';
import { News } from './news';
import { Presence } from './presence';
import { ScriptedRouter } from './router.fixture';

const PACE = { recordsPerSecond: 12, firstChunkSeconds: 0.5 };
const identity = { nodeId: 'node-1', incarnation: 'i-1', version: '0.1.0' };
const log = { info: () => undefined, warn: () => undefined };

/** Waits for what another party does, for real. */
async function until(what: () => boolean): Promise<void> {
  for (let i = 0; i < 1000 && !what(); i++) await new Promise((resolve) => setTimeout(resolve, 5));
  expect(what()).toBe(true);
}

interface Bench {
  readonly host: FakeHost & { models(): readonly FakeHost['model'][] };
  readonly sessions: Sessions;
  readonly presence: Presence;
  /** Deadlines of drains, and when one was taken back. */
  readonly drains: (number | undefined | 'undone')[];
  /** Milliseconds of silence after which each connection to a router is pinged. */
  readonly keepalives: number[];
}

let running: { stop(reason: string): Promise<void> }[] = [];
afterEach(async () => {
  await Promise.all(running.map((each) => each.stop('test over')));
  running = [];
});

async function router(address?: string): Promise<ScriptedRouter> {
  const started = await ScriptedRouter.start(address);
  running.push(started);
  return started;
}

function bench(addresses: readonly string[]): Bench {
  const host = Object.assign(new FakeHost(), {
    models: () => [host.model],
    broken: () => [
      { name: 'bad', folder: '/models/bad', error: new CabstandError('MANIFEST_INVALID', 'x') },
    ],
  });
  const drains: Bench['drains'] = [];
  const keepalives: number[] = [];
  let presence: Presence | undefined = undefined as Presence | undefined;
  const sessions = new Sessions({
    sealer: testSealer(),
    host,
    options: { resumeHeadroom: 0.25 },
    clock: systemClock,
    observe: (event) => presence?.observe(event),
  });
  presence = new Presence(
    addresses.map((address) => ({
      connect: (timeMs: number) => {
        keepalives.push(timeMs);
        return new RpcClient(address, { connectTimeoutMs: 200, keepalive: { timeMs } });
      },
      identity,
      advertise: '127.0.0.1:50051',
      source: { host, sessions, lagSeconds: () => 0.001, pace: () => PACE },
      clock: systemClock,
      log,
      onDrain: (deadlineMs) => void drains.push(deadlineMs),
      onUndrain: () => void drains.push('undone'),
    })),
  );
  presence.start();
  running.unshift(presence);
  return { host, sessions, presence, drains, keepalives };
}

function open(b: Bench, id: string): ReturnType<Sessions['open']> {
  return b.sessions.open(
    {
      id,
      principal: 'p',
      model: 'fake',
      retention: 'durable',
      epoch: { counter: 1, owner: 'aa' },
      priority: 0,
    },
    new AbortController().signal,
  );
}

test('registers with every router and tells each its load', async () => {
  const [one, two] = [await router(), await router()];
  const b = bench([one.address, two.address]);
  await until(() => one.beats.length > 2 && two.beats.length > 2);
  expect(one.registered).toHaveLength(1);
  expect(one.registered[0]).toMatchObject({
    address: '127.0.0.1:50051',
    node_id: 'node-1',
    incarnation: 'i-1',
    models: [{ name: 'fake', version: '1', capacity: 4, batch_class: 'BATCH_CLASS_EXACT' }],
  });
  // Told once: nothing has changed since.
  expect(two.beats.slice(1).some(({ load }) => load !== null)).toBe(false);
  expect(two.beats[0]?.load).toMatchObject({
    models: [
      {
        model: 'fake',
        free_slots: 3,
        resume_slots: 1,
        step_seconds: 0.001,
        records_per_second: 12,
        first_chunk_seconds: 0.5,
      },
    ],
    event_loop_lag_seconds: 0.001,
  });
  expect(b.presence.registered).toBe(2);
});

test('a router whose clock is off is known by how much, and is forgiven once it is right', async () => {
  const one = await router();
  const b = bench([one.address, (await router()).address]);
  await until(() => one.beats.length > 0);
  expect(b.presence.clockOffsetMs).toBe(0);
  const seconds = Math.floor(Date.now() / 1000);
  one.wish({ clock: { seconds: seconds - 600, nanos: 0 } });
  await until(() => b.presence.clockOffsetMs !== 0);
  expect(Math.abs(b.presence.clockOffsetMs + 600_000)).toBeLessThan(10_000);
  one.wish({ clock: { seconds, nanos: 0 } });
  await until(() => Math.abs(b.presence.clockOffsetMs) < 10_000);
});

test('a router that is down disturbs nobody, and hears everything when it comes', async () => {
  const one = await router();
  const late = await ScriptedRouter.start();
  const { address } = late;
  await late.stop();
  const b = bench([address, one.address]);
  await until(() => one.beats.length > 1);
  await open(b, 's1');
  expect(b.presence.registered).toBe(1);
  const two = await router(address);
  await until(() => two.beats.length > 0);
  expect(two.beats[0]?.sessions_opened).toEqual([
    { session_id: 's1', epoch: 1, principal: 'p', model: 'fake', idle: false },
  ]);
});

test('news are told once; a router that forgot is told everything again', async () => {
  const one = await router();
  const b = bench([one.address]);
  await until(() => one.beats.length > 0);
  const session = await open(b, 's1');
  await open(b, 's2');
  b.presence.leaseConsumed('lease-1');
  await until(() => one.beats.some((beat) => beat.sessions_opened.length === 2));
  session.claim({ counter: 2, owner: 'bb' });
  await until(() => one.beats.some((beat) => beat.sessions_opened[0]?.epoch === 2));
  session.abort({ reason: 'stopped' });
  await until(() => one.beats.some((beat) => beat.sessions_closed.includes('s1')));
  const told = one.beats.flatMap((beat) => beat.consumed_lease_ids);
  expect(told).toEqual(['lease-1']);
  const before = one.beats.length;
  one.wish({ reregister: true });
  await until(() => one.registered.length === 2 && one.beats.length > before + 2);
  const after = one.beats.slice(before).flatMap((beat) => beat.sessions_opened);
  expect(after).toEqual([
    { session_id: 's2', epoch: 1, principal: 'p', model: 'fake', idle: false },
  ]);
});

test('sessions of two principals with one id are told apart', async () => {
  const news = new News();
  const hers = { sessionId: 's', epoch: 1, principal: 'alice', model: 'fake', idle: false };
  const his = { ...hers, principal: 'bob' };
  news.sessionOpened(hers);
  news.sessionOpened(his);
  expect(news.take().opened).toEqual([hers, his]);
  news.sessionClosed(his);
  const one = await router();
  expect(news.take()).toMatchObject({ opened: [], closed: [his] });
  const b = bench([one.address]);
  await until(() => one.beats.length > 0);
  const session = await open(b, 's1');
  session.abort({ reason: 'stopped' });
  await until(() => one.beats.some((beat) => beat.sessions_closed.includes('s1')));
  const told = one.beats.find((beat) => beat.sessions_closed.includes('s1'));
  expect(told?.sessions_ended).toMatchObject([{ session_id: 's1', principal: 'p' }]);
});

test('a lease counts once, however often its ticket is shown', async () => {
  const one = await router();
  const b = bench([one.address]);
  await until(() => one.beats.length > 0);
  const heard = (): string[] => one.beats.flatMap((beat) => beat.consumed_lease_ids);
  b.presence.leaseConsumed('lease-1');
  await until(() => heard().length > 0);
  b.presence.leaseConsumed('lease-1');
  b.presence.leaseConsumed('lease-2');
  await until(() => heard().includes('lease-2'));
  expect(heard()).toEqual(['lease-1', 'lease-2']);
});

test('a router that restarts is registered with again', async () => {
  const first = await ScriptedRouter.start();
  const b = bench([first.address]);
  await until(() => first.beats.length > 0);
  await first.stop();
  await until(() => b.presence.registered === 0);
  const second = await router(first.address);
  await until(() => second.beats.length > 0);
  expect(second.registered[0]?.incarnation).toBe('i-1');
});

test('obeys wishes to drain, and to beat at another pace', async () => {
  const one = await router();
  const b = bench([one.address]);
  await until(() => one.beats.length > 0);
  one.wish({ drain: true, drain_deadline: toDuration(1500) });
  await until(() => b.drains.length > 0);
  expect(b.drains).toEqual([1500]);
  b.sessions.drain(1500);
  b.presence.opennessChanged();
  await until(() => one.beats.at(-1)?.draining === true);
  expect(one.beats.at(-1)?.load?.models[0]?.free_slots).toBe(0);
  one.wish({ undrain: true });
  await until(() => b.drains.at(-1) === 'undone');
  b.sessions.undrain();
  b.presence.opennessChanged();
  await until(() => one.beats.at(-1)?.draining === false);
  one.wish({ heartbeat_period: toDuration(60_000) });
  const quiet = one.beats.length + 2;
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(one.beats.length).toBeLessThanOrEqual(quiet);
});

test('where heartbeats are wanted seldom its connection is pinged seldom, and no stream is missed meanwhile', async () => {
  const one = await router();
  const b = bench([one.address]);
  await until(() => one.beats.length > 5);
  expect(b.keepalives).toEqual([1000]);
  one.wish({ heartbeat_period: toDuration(4000) });
  b.presence.opennessChanged();
  await until(() => one.open === 2);
  // The router has not answered on the new stream.
  expect(b.keepalives).toEqual([1000, 4000]);
  one.wish({ heartbeat_period: toDuration(5000) });
  await until(() => one.open === 1);
  b.presence.leaseConsumed('lease-1');
  b.presence.opennessChanged();
  await until(() => one.beats.some((beat) => beat.consumed_lease_ids.includes('lease-1')));
  expect(one.registered).toHaveLength(1);
  expect(b.keepalives).toEqual([1000, 4000]);
});

test('tells at once what it offers when that has changed', async () => {
  const one = await router();
  const b = bench([one.address]);
  await until(() => one.beats.length > 0);
  one.wish({ heartbeat_period: toDuration(60_000) });
  await new Promise((resolve) => setTimeout(resolve, 200));
  b.host.model.status = { state: 'draining' };
  for (const listener of b.host.listeners) listener();
  await until(() => one.beats.at(-1)?.models_changed === true);
  expect(one.beats.at(-1)?.models).toEqual([]);
  const bad = { name: 'bad', version: '', state: 'MODEL_STATE_FAILED' };
  expect(one.registered[0]?.other_models).toEqual([bad]);
  expect(one.beats.at(-1)?.other_models).toEqual([
    { name: 'fake', version: '1', state: 'MODEL_STATE_DRAINING' },
    bad,
  ]);
});

test('says good-bye when it stops', async () => {
  const one = await router();
  const b = bench([one.address]);
  await until(() => one.beats.length > 0);
  await b.presence.stop('the hoster stops');
  expect(one.deregistered).toEqual([
    { node_id: 'node-1', incarnation: 'i-1', reason: 'the hoster stops' },
  ]);
  expect(b.presence.registered).toBe(0);
  expect(b.host.listeners.size).toBe(1);
});

test('a session that becomes idle is told of, and one that only does for a moment is not', () => {
  const news = new News();
  const session = { sessionId: 's', epoch: 1, principal: 'alice', model: 'fake', idle: false };
  const idle = { ...session, idle: true };
  news.sessionOpened(session);
  news.sessionFlipped(idle);
  expect(news.take().opened).toEqual([idle]);
  news.sessionFlipped(session);
  news.sessionFlipped(idle);
  expect(news.take().opened).toEqual([]);
  news.sessionFlipped(session);
  news.sessionClosed(session);
  expect(news.take()).toMatchObject({ opened: [], closed: [session] });
  expect(news.size).toBe(0);
});

test('many sessions that become idle at once are told of in several heartbeats', () => {
  const news = new News();
  const idle = (i: number) => ({
    ...{ sessionId: `s${i}`, epoch: 1, principal: 'alice', model: 'fake', idle: true },
  });
  for (let i = 0; i < 1100; i++) news.sessionFlipped(idle(i));
  const told = [news.take(), news.take(), news.take(), news.take()].map(({ opened }) => opened);
  expect(told.map(({ length }) => length)).toEqual([500, 500, 100, 0]);
  expect(told.flat()).toEqual(Array.from({ length: 1100 }, (_, i) => idle(i)));
});
