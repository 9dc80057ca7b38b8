import { CabstandError, FakeClock } from '@cabstand/core';
import { deferred, rig, tester, trusting } from '../rpc.fixture';
import { HosterService, RpcClient } from '../index';
import type { Authorizer, Recheck } from '../index';
import { Trust } from './trust';

const unknown = (): never => {
  throw new CabstandError('KEY_UNKNOWN', 'the key is gone');
};

test('one timer looks at all open calls, and there is none without calls', async () => {
  const clock = new FakeClock();
  const trust = new Trust(clock);
  const lost: string[] = [];
  let alice: Recheck = () => Infinity;
  const end = trust.keep([() => alice()], ({ reason }) => lost.push(`alice ${reason}`));
  const others = Array.from({ length: 100 }, (_, i) =>
    trust.keep([() => Infinity], () => lost.push(String(i))),
  );
  expect(clock.pending).toBe(1);
  alice = unknown;
  await clock.advance(1999);
  expect(lost).toEqual([]);
  await clock.advance(1);
  expect(lost).toEqual(['alice CREDENTIALS_EXPIRED']);
  await clock.advance(20_000);
  expect(lost).toHaveLength(1);
  end();
  for (const leave of others) leave();
  expect(clock.pending).toBe(0);
});

test('credentials end when they expire, whatever else is looked at when', async () => {
  const clock = new FakeClock();
  const trust = new Trust(clock);
  const lost: number[] = [];
  const start = clock.now();
  const until =
    (ms: number): Recheck =>
    () =>
      start + ms;
  trust.keep([() => Infinity], () => lost.push(-1));
  for (const ms of [5500, 300, 2000, 301]) trust.keep([until(ms)], () => lost.push(ms));
  await clock.advance(299);
  expect(lost).toEqual([]);
  await clock.advance(1);
  expect(lost).toEqual([300]);
  await clock.advance(5000);
  expect(lost).toEqual([300, 301, 2000]);
  await clock.advance(200);
  expect(lost).toEqual([300, 301, 2000, 5500]);
});

test('many calls are looked at some at a time, and one that comes meanwhile is not forgotten', async () => {
  const clock = new FakeClock();
  const trust = new Trust(clock);
  let lost = 0;
  let good = true;
  const recheck: Recheck = () => (good ? Infinity : unknown());
  for (let i = 0; i < 2500; i++) trust.keep([recheck], () => lost++);
  good = false;
  await clock.advance(2000);
  expect(lost).toBe(1000);
  const until = clock.now() + 500;
  trust.keep([() => until], () => lost++);
  await clock.advance(1);
  expect(lost).toBe(2000);
  await clock.advance(1);
  expect(lost).toBe(2500);
  await clock.advance(500);
  expect(lost).toBe(2501);
  expect(clock.pending).toBe(0);
});

test('all that was told of a call must hold', async () => {
  const clock = new FakeClock();
  const trust = new Trust(clock);
  const lost: CabstandError[] = [];
  trust.keep([() => Infinity, unknown], (error) => lost.push(error));
  await clock.advance(2000);
  expect(lost).toMatchObject([
    { reason: 'CREDENTIALS_EXPIRED', metadata: { open_call: 'ended', cause: 'KEY_UNKNOWN' } },
  ]);
});

test('streams of one caller end typed, on both sides, and those of others go on', async () => {
  const clock = new FakeClock();
  const gone = new Set<string>();
  const who: Authorizer = {
    ...trusting,
    validateRequest: ({ metadata, onTrust }) => {
      const id = String(metadata.get('who')[0]);
      onTrust?.(() => (gone.has(id) ? unknown() : Infinity));
      return Promise.resolve({ ...tester, id });
    },
  };
  const ended: string[] = [];
  const bothEnded = deferred();
  const hold = deferred();
  const streaming = async (id: string, signal: AbortSignal): Promise<void> => {
    signal.addEventListener('abort', () => {
      ended.push(`${id} ${CabstandError.from(signal.reason).reason}`);
      if (ended.length === 2) bothEnded.resolve();
    });
    await hold.promise;
  };
  await using it = await rig(
    {
      rpc_inference_stream: async (_request, { principal, signal }, out) => {
        await out.write({ record: { position: 1 } });
        await streaming(principal.id, signal);
        await out.write({ record: { position: 2 } });
      },
      rpc_session_stream: async (_requests, { principal, signal }, out) => {
        await out.write({ record: { position: 1 } });
        await streaming(principal.id, signal);
        await out.write({ record: { position: 2 } });
      },
    },
    { server: { authorizer: who }, clock },
  );
  const caller = (name: string): RpcClient =>
    new RpcClient(`127.0.0.1:${it.port}`, {
      authorizer: { ...trusting, signRequest: () => Promise.resolve({ who: name }) },
    });
  const clients = [caller('alice'), caller('bob')];
  const [alices = [], bobs = []] = clients.map((client) => [
    client.serverStream(HosterService.rpc_inference_stream, {}),
    client.bidi(HosterService.rpc_session_stream).responses,
  ]);
  for (const stream of [...alices, ...bobs])
    expect(await stream.next()).toMatchObject({ value: { record: { position: 1 } } });
  gone.add('alice');
  await clock.advance(2000);
  const refused = { reason: 'CREDENTIALS_EXPIRED', metadata: { cause: 'KEY_UNKNOWN' } };
  for (const stream of alices) await expect(stream.next()).rejects.toMatchObject(refused);
  await bothEnded.promise;
  expect(ended).toEqual(['alice CREDENTIALS_EXPIRED', 'alice CREDENTIALS_EXPIRED']);
  expect(it.server.openCalls).toBe(2);
  hold.resolve();
  for (const stream of bobs) {
    expect(await stream.next()).toMatchObject({ value: { record: { position: 2 } } });
    expect(await stream.next()).toMatchObject({ done: true });
  }
  for (const client of clients) client.close();
});
