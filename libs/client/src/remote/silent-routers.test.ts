/** A router that takes connections and says nothing, as one that was stopped does. */
import { createServer } from 'node:net';
import type { Socket } from 'node:net';
import { CabstandError, FakeClock } from '@cabstand/core';
import { closers, node, remoteFor, router } from './router.fixture';
import { SilentRouters } from './silent-routers';

const CONNECT_MS = 400;

/** Takes connections; what comes on them goes nowhere until it is told to speak. */
async function blackHole() {
  const sockets = new Set<Socket>();
  let dial = (): void => undefined;
  /** Somebody has begun to connect. */
  const dialled = new Promise<void>((resolve) => {
    dial = resolve;
  });
  const server = createServer((socket) => {
    sockets.add(socket);
    dial();
    socket.on('error', () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const bound = server.address();
  if (bound === null || typeof bound === 'string') throw new Error('no port');
  const close = async (): Promise<void> => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  };
  closers.push(close);
  return { address: `127.0.0.1:${bound.port}`, port: bound.port, dialled, close };
}

async function took(act: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await act();
  return performance.now() - start;
}

const impatient = { connectMs: CONNECT_MS, acquireMs: 5_000 };
/** No time passes but what a test says: what waits for a silent router waits for ever. */
const standing = () => ({ connectMs: CONNECT_MS, acquireMs: 3_600_000, clock: atRest() });
/** Deadlines are told to servers, whose clocks go on. */
const atRest = (): FakeClock => new FakeClock(Date.now());

test('costs a client its connect time once, though the other router knows nobody', async () => {
  const [silent, other] = [await blackHole(), await router()];
  const settings = standing();
  const remote = remoteFor({ routers: [silent.address, other.address], ...settings });
  const noNode = () =>
    expect(remote.acquire({ model: 'm' })).rejects.toMatchObject({ reason: 'NO_NODE' });
  const first = noNode();
  await silent.dialled;
  await settings.clock.advance(CONNECT_MS);
  await first;
  for (let i = 0; i < 3; i++) await noNode();
  other.nodes = [node('a')];
  expect((await remote.acquire({ model: 'm' })).node.nodeId).toBe('a');
});

test('sessions that wait for it go on together as soon as one has found out', async () => {
  const [silent, other] = [await blackHole(), await router()];
  other.nodes = [node('a')];
  const settings = standing();
  const remote = remoteFor({ routers: [silent.address, other.address], ...settings });
  const first = remote.acquire({ model: 'm' });
  await silent.dialled;
  await settings.clock.advance(CONNECT_MS * 0.75);
  const second = remote.acquire({ model: 'm' });
  await settings.clock.advance(CONNECT_MS * 0.25);
  expect((await first).node.nodeId).toBe('a');
  expect((await second).node.nodeId).toBe('a');
});

test('where the only router that answered is gone, sessions are placed from the list at once', async () => {
  const [silent, other] = [await blackHole(), await router()];
  other.nodes = [node('a')];
  const settings = standing();
  const remote = remoteFor({ routers: [silent.address, other.address], ...settings });
  const nodes = remote.nodes();
  await silent.dialled;
  await settings.clock.advance(CONNECT_MS);
  await nodes;
  await other.stop();
  for (let i = 0; i < 4; i++) expect((await remote.acquire({ model: 'm' })).node.nodeId).toBe('a');
});

test('is asked where there is nothing else to go by', async () => {
  const silent = await blackHole();
  const remote = remoteFor({ routers: [silent.address], ...impatient });
  for (let i = 0; i < 2; i++)
    expect(
      await took(() =>
        expect(remote.acquire({ model: 'm' })).rejects.toMatchObject({
          reason: 'ROUTER_UNREACHABLE',
        }),
      ),
    ).toBeGreaterThan(CONNECT_MS / 2);
});

test('is asked again once it was found to answer', async () => {
  const [silent, other] = [await blackHole(), await router()];
  const remote = remoteFor({ routers: [silent.address, other.address], ...impatient });
  const noNode = () =>
    expect(remote.acquire({ model: 'm' })).rejects.toMatchObject({ reason: 'NO_NODE' });
  await noNode();
  await silent.close();
  // Another process at the same address.
  const back = await router(silent.port);
  back.nodes = [node('b')];
  for (let i = 0; i < 200 && back.acquired.length === 0; i++) {
    await remote.acquire({ model: 'm' }).catch(() => undefined);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  expect((await remote.acquire({ model: 'm' })).node.nodeId).toBe('b');
});

describe('what is remembered of it', () => {
  /** Probes that answer when told; the times at which they were made. */
  function setting() {
    const clock = new FakeClock(0);
    const probes: number[] = [];
    const state = { answers: false };
    const silent = new SilentRouters(
      () => {
        probes.push(clock.monotonic());
        return state.answers
          ? Promise.resolve()
          : Promise.reject(new CabstandError('NODE_UNREACHABLE', 'silence'));
      },
      clock,
      () => 1,
    );
    return { clock, probes, state, silent };
  }

  test('is tried in the background after growing pauses, until it answers', async () => {
    const { clock, probes, state, silent } = setting();
    silent.add('r:1');
    silent.add('r:1');
    expect([silent.has('r:1'), silent.has('r:2')]).toEqual([true, false]);
    await clock.advance(120_000);
    expect(probes).toEqual([1_000, 3_000, 7_000, 15_000, 31_000, 61_000, 91_000]);
    expect(silent.has('r:1')).toBe(true);
    state.answers = true;
    await clock.advance(30_000);
    expect([silent.has('r:1'), clock.pending]).toEqual([false, 0]);
  });

  test('an answer to anybody else ends it, and so does closing', async () => {
    const { clock, probes, silent } = setting();
    silent.add('r:1');
    silent.answered('r:1');
    expect(silent.has('r:1')).toBe(false);
    silent.add('r:2');
    silent.close();
    silent.add('r:3');
    await clock.advance(60_000);
    expect([probes, clock.pending]).toEqual([[], 0]);
  });
});
