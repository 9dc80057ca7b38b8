import { FakeClock } from '@cabstand/core';
import { MockProtocol } from '@cabstand/testing';
import type { MockProtocolOptions } from '@cabstand/testing';
import { RemoteManager } from '../remote/manager';
import { SessionManager } from './manager';
import type { SessionOptions } from './options';

/** The deadlines of going on, in time of their own. */
async function setup(
  options: MockProtocolOptions = {},
  open: Partial<SessionOptions> = {},
  clock = new FakeClock(),
) {
  const random = (): number => 0.5;
  const mock = new MockProtocol(options);
  const remote = new RemoteManager({ hosters: mock.hosters, clock, random });
  const sessions = new SessionManager(remote, { protocol: mock, clock, random });
  const session = sessions.session({ model: 'm', ...open });
  /** Moves time on until the promise is settled, and tells how long that took. */
  const timed = async <T>(promise: Promise<T>): Promise<{ ms: number; outcome: T | Error }> => {
    const since = clock.monotonic();
    let outcome: { value: T | Error } | undefined;
    promise.then(
      (value) => (outcome = { value }),
      (error: unknown) => (outcome = { value: error as Error }),
    );
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve));
      if (outcome !== undefined) return { ms: clock.monotonic() - since, outcome: outcome.value };
      await clock.advance(10);
    }
  };
  return { clock, mock, session, timed };
}

const paced = (clock: () => FakeClock, ms: number) =>
  async function* () {
    for (let i = 0; ; i++) {
      yield { text: String(i) };
      await new Promise<void>((resolve) => clock().setTimer(resolve, ms));
    }
  };

test('a hoster that never comes back is given up after recoverMs, with what stood in the way', async () => {
  const { mock, session, timed } = await setup(
    { hosters: ['mock-1:1'] },
    { timeouts: { recoverMs: 12_000 } },
  );
  // More than what can be on its way when the hoster goes.
  const turn = session.runProtocolTask('a '.repeat(200));
  await timed(turn.next());
  mock.stop('mock-1:1');
  const failed = await timed(
    (async () => {
      for (;;) if ((await turn.next()).done === true) return 'done';
    })(),
  );
  expect(failed.outcome).toMatchObject({ reason: 'NODE_UNREACHABLE' });
  expect(failed.ms).toBeGreaterThanOrEqual(11_900);
  expect(failed.ms).toBeLessThan(12_200);
  expect(session.state).toBe('failed');
  const next = await timed(session.runProtocolTask('x').next());
  expect(next.outcome).toMatchObject({ reason: 'SESSION_LOST' });
});

test('a hoster that stands still is left after stallMs and one try of reattachMs', async () => {
  const { mock, session, timed } = await setup(
    {},
    { timeouts: { stallMs: 1_000, firstMs: 1_000, reattachMs: 300 } },
  );
  mock.fail({ kind: 'stall', after: 2 });
  const turn = session.runProtocolTask('a b c d');
  await timed(turn.next());
  await timed(turn.next());
  const { ms, outcome } = await timed(turn.next());
  expect(outcome).toMatchObject({ done: false, value: { text: 'c', position: 2 } });
  // It answers the re-attachment, and stands still again.
  expect(ms).toBeLessThan(2_200);
  expect(new Set(mock.turns.map(({ hoster }) => hoster)).size).toBe(2);
});

test('a model whose steps are long is not taken for a stalled one', async () => {
  let clock = new FakeClock();
  const made = await setup(
    { answer: paced(() => clock, 3_000) },
    { timeouts: { stallMs: 5_000, firstMs: 5_000 } },
  );
  clock = made.clock;
  let recoveries = 0;
  made.session.on('recovering', () => recoveries++);
  const turn = made.session.runProtocolTask('x');
  for (let i = 0; i < 5; i++) await made.timed(turn.next());
  // One step that takes four times as long as those before.
  const timers = made.clock.setTimer.bind(made.clock);
  let once = true;
  made.clock.setTimer = (callback, ms) => {
    const slow = once && ms === 3_000;
    if (slow) once = false;
    return timers(callback, slow ? 12_000 : ms);
  };
  for (let i = 5; i < 8; i++)
    expect((await made.timed(turn.next())).outcome).toMatchObject({ value: { position: i } });
  expect(recoveries).toBe(0);
});

test('a first record that takes longer than placeMs is waited for while its hoster computes', async () => {
  const clock = new FakeClock();
  async function* answer() {
    await new Promise<void>((resolve) => clock.setTimer(resolve, 100_000));
    yield { text: 'long considered' };
  }
  // The hoster lives in its client's time.
  const { timed, session } = await setup({ clock, answer }, {}, clock);
  const { ms, outcome } = await timed(session.runProtocolTask('x').next());
  expect(outcome).toMatchObject({ value: { text: 'long considered' } });
  expect(ms).toBeGreaterThan(60_000);
});

test('an application that does not read is never taken for a lost hoster', async () => {
  const { clock, session, timed } = await setup();
  let recoveries = 0;
  session.on('recovering', () => recoveries++);
  const turn = session.runProtocolTask('a b c d');
  await timed(turn.next());
  await clock.advance(3_600_000);
  const { outcome } = await timed(turn.next());
  expect(outcome).toMatchObject({ value: { text: 'b' } });
  expect(recoveries).toBe(0);
});

test.each([
  { timeouts: { recoverMs: 0 } },
  { timeouts: { reattachMs: NaN } },
  { maxReplayBytes: -1 },
  { maxReplayBytes: 1.5 },
])('%j is refused, naming the option', async (open) => {
  await expect(setup({}, open)).rejects.toMatchObject({
    reason: 'INVALID_ARGUMENT',
    metadata: { field: expect.stringMatching(/recoverMs|reattachMs|maxReplayBytes/) as string },
  });
});
