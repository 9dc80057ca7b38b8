import { CabstandError, FakeClock } from '@cabstand/core';
import { rig } from '../rpc.fixture';
import { HosterService, RpcClient } from '../index';
import { Surplus } from './surplus';

const LIMIT = { server: { limits: { maxConnections: 1 } } };

/** Connections to a server that takes one; `open` are those that are not closed. */
function door() {
  const clock = new FakeClock();
  const open = new Set<string>();
  const heard: string[] = [];
  const surplus: Surplus = new Surplus(1, {
    clock,
    open: () => open.size,
    cut: (peer) => close(peer),
    refused: () => undefined,
  });
  const connect = (peer: string): void => {
    open.add(peer);
    surplus.opened(peer, () => heard.push(peer));
  };
  const close = (peer: string): void => {
    open.delete(peer);
    surplus.closed(peer);
  };
  return { clock, open, heard, connect, close };
}

test('each of many connections beyond the limit is told why, and how to mend it', async () => {
  const finished: unknown[] = [];
  const observer = {
    started: () => ({
      messageSent: () => undefined,
      messageReceived: () => undefined,
      finished: (error: CabstandError | undefined) => finished.push(error?.reason),
    }),
  };
  await using it = await rig(
    { rpc_info: () => ({}) },
    { server: { ...LIMIT.server, observers: [observer] } },
  );
  await it.client.unary(HosterService.rpc_info, {});
  const others = Array.from(
    { length: 110 },
    () => new RpcClient(it.client.address, { connectTimeoutMs: 60_000 }),
  );
  const answers = await Promise.all(
    others.map((one) =>
      one.unary(HosterService.rpc_info, {}).then(
        () => 'served',
        (error: unknown) => CabstandError.from(error),
      ),
    ),
  );
  for (const answer of answers)
    expect(answer).toMatchObject({
      reason: 'RATE_LIMITED',
      metadata: { limited_by: 'connections', limit: '1' },
    });
  expect(String(answers[0])).toContain('raise its rpc.max_connections');
  expect(finished).toEqual([undefined, ...answers.map(() => 'RATE_LIMITED')]);
  for (const one of others) one.close();
  await expect(it.client.unary(HosterService.rpc_info, {})).resolves.toBeDefined();
});

test('a call on a connection that is one too many is answered before its request is read', async () => {
  await using it = await rig({ rpc_info: () => ({}) }, LIMIT);
  await it.client.unary(HosterService.rpc_info, {});
  const second = new RpcClient(it.client.address);
  const call = second.bidi(HosterService.rpc_session_stream);
  await expect(call.responses.next()).rejects.toMatchObject({ reason: 'RATE_LIMITED' });
  expect(it.server.openCalls).toBe(0);
  second.close();
});

test('a flood waits in line, is told at a pace, and each has its time', async () => {
  const { clock, open, heard, connect } = door();
  connect('served');
  for (let i = 0; i < 250; i++) connect(`c${i}`);
  expect(heard).toHaveLength(201);
  await clock.advance(200);
  expect(heard).toHaveLength(221);
  expect(heard.slice(-2)).toEqual(['c218', 'c219']);
  await clock.advance(300);
  expect(heard).toHaveLength(251);
  // Those that say nothing are closed.
  await clock.advance(4500);
  expect(open.size).toBe(1 + 50);
  await clock.advance(500);
  expect([...open]).toEqual(['served']);
});

test('who waits in line gets the place of one that leaves', async () => {
  const { clock, open, heard, connect, close } = door();
  connect('served');
  for (let i = 0; i < 203; i++) connect(`c${i}`);
  close('c201');
  close('served');
  expect(heard.at(-1)).toBe('c200');
  await clock.advance(60_000);
  expect(heard.at(-1)).toBe('c202');
  expect([...open]).toEqual(['c200']);
});
