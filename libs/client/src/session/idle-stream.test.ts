import { CabstandError, FakeClock } from '@cabstand/core';
import type { ChannelStart, SessionChannel, SessionProtocol, Target } from '../protocol/types';
import { mocked, texts } from './mocked.fixture';

/** Says how each of a session's streams began, and why it was left. */
function watched(protocol: SessionProtocol) {
  const begun: string[] = [];
  const left: string[] = [];
  const channels: SessionChannel[] = [];
  const openChannel = protocol.openChannel.bind(protocol);
  jest.spyOn(protocol, 'openChannel').mockImplementation((node: Target, start: ChannelStart) => {
    begun.push(start.kind);
    const channel = openChannel(node, start);
    channels.push(channel);
    const finish = channel.finish.bind(channel);
    channel.finish = () => {
      left.push('finished');
      finish();
    };
    const cancel = channel.cancel.bind(channel);
    channel.cancel = (error) => {
      left.push(error.message);
      cancel(error);
    };
    return channel;
  });
  const calls = jest.spyOn(protocol, 'runTurn');
  return { begun, left, channels, calls };
}

test('turns of a durable session share a stream, which is let go of when none runs for a while', async () => {
  const clock = new FakeClock();
  const { session, protocol } = await mocked('mock', {}, { clock });
  const { begun, left, calls } = watched(protocol);
  expect(await texts(session.runProtocolTask('a b'))).toBe('a b');
  await clock.advance(1_900);
  expect(await texts(session.runProtocolTask('c'))).toBe('c');
  await clock.advance(1_900);
  expect([begun, left]).toEqual([['open'], []]);
  await clock.advance(200);
  expect([begun, left]).toEqual([['open'], ['finished']]);
  expect(await texts(session.runProtocolTask('d e'))).toBe('d e');
  expect(begun).toEqual(['open', 'attach']);
  expect(calls).not.toHaveBeenCalled();
  expect(session.lastTurn).toMatchObject({ turn: 2, reason: 'completed' });
});

test('sessions that are idle make way for one another at a hoster with one place, and no caller notices', async () => {
  const clock = new FakeClock();
  const { session, sessions, mock } = await mocked(
    'mock',
    { capacity: 1, hosters: ['alone:1'] },
    { clock },
  );
  const all = [session, sessions.session({ model: 'm' }), sessions.session({ model: 'm' })];
  const causes: string[] = [];
  for (const one of all) one.on('recovered', ({ cause }) => causes.push(cause.reason));
  for (const words of ['a b', 'c', 'd e f'])
    for (const one of all) {
      const turn = texts(one.runProtocolTask(words));
      let over = false;
      void turn.finally(() => (over = true));
      // Pauses before a further attempt, if there are any.
      while (!over) await clock.advance(5);
      expect(await turn).toBe(words);
      await clock.advance(2_000);
      expect(mock.openSessions()).toBe(1);
    }
  // Words, and an end for each turn.
  expect(all.map(({ position }) => position)).toEqual([9, 9, 9]);
  expect(causes).toEqual(Array(6).fill('SESSION_EVICTED'));
});

test('turns of a session that is not durable are calls of their own', async () => {
  const { session, protocol } = await mocked('mock', {}, {}, { durable: false });
  const { begun, calls } = watched(protocol);
  expect(await texts(session.runProtocolTask('a b'))).toBe('a b');
  expect(await texts(session.runProtocolTask('c'))).toBe('c');
  expect([begun, calls.mock.calls.length]).toEqual([[], 2]);
});

test('each turn tells that its session is open, whichever stream it goes by', async () => {
  const { session } = await mocked('mock');
  const positions: number[] = [];
  session.on('opened', ({ position }) => positions.push(position));
  expect(await texts(session.runProtocolTask('a b'))).toBe('a b');
  expect(await texts(session.runProtocolTask('c'))).toBe('c');
  expect(positions).toEqual([0, 3]);
});

test('a session is closed at its hoster though its stream broke while no turn ran', async () => {
  const { session, mock, protocol } = await mocked('mock');
  const { channels } = watched(protocol);
  expect(await texts(session.runProtocolTask('a b'))).toBe('a b');
  expect(mock.openSessions()).toBe(1);
  channels[0]?.cancel(new CabstandError('NODE_UNREACHABLE', 'the connection is gone'));
  await session.close();
  expect(mock.openSessions()).toBe(0);
});

test('a stream that runs hears nothing of many others that are let go of on its connection', async () => {
  const clock = new FakeClock();
  const one = { hosters: ['alone:1'] };
  const { session, sessions, mock } = await mocked('grpc', one, { clock, maxSessions: 2_000 });
  const problems: string[] = [];
  session.on('recovering', ({ cause }) => problems.push(cause.message));
  const turn = session.live();
  await turn.write({ x: Float32Array.of(1) });
  // Node allows a thousand resets on a connection, and then 33 a second.
  for (let round = 0; round < 3; round++) {
    const idle = Array.from({ length: 500 }, () => sessions.session({ model: 'm' }));
    await Promise.all(idle.map((other) => texts(other.runProtocolTask('a'))));
    await clock.advance(2_000);
  }
  expect(mock.openSessions()).toBe(1_501);
  expect(problems).toEqual([]);
  await turn.return();
}, 120_000);
