import { attach, bench, content, open } from './session-bench.fixture';

const MIB = 1024 * 1024;

test('a consumer is asked for the ack that alone lets the session go on, and for nothing else', async () => {
  const b = bench();
  const session = await open(b);
  const reader = attach(session);
  session.startTurn(0, content());
  const engine = b.host.model.last;
  const kinds = (): string[] => reader.notices.map(({ kind }) => kind);
  engine.step();
  for (let i = 0; i < 2; i++) b.sessions.tellProgress();
  expect(kinds()).toEqual(['progress']);
  while (engine.step(MIB));
  expect(session.journal.bytes).toBeLessThan(6 * MIB);
  b.sessions.tellProgress();
  expect(reader.notices.at(-1)).toEqual({ kind: 'ack_wanted', position: session.position - 1 });
  session.acknowledge(session.position - 1);
  expect(engine.step(MIB)).toBe(true);
  b.sessions.tellProgress();
  expect(kinds()).toEqual(['progress', 'ack_wanted']);
  session.abort({ reason: 'stopped' });
});

test('a session whose consumer never acknowledges ends, and says why', async () => {
  const b = bench({ idleTimeoutMs: 5000 });
  const session = await open(b);
  const reader = attach(session);
  session.startTurn(0, content());
  while (b.host.model.last.step(MIB));
  const seconds = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      b.sessions.tellProgress();
      await b.clock.advance(1000);
    }
  };
  await seconds(4);
  session.acknowledge(0);
  while (b.host.model.last.step(MIB));
  await seconds(5);
  expect(session.end).toBeUndefined();
  await seconds(1);
  expect(reader.gone).toMatchObject({
    kind: 'ended',
    end: { reason: 'evicted', error: { reason: 'SESSION_EVICTED' } },
  });
  expect(session.end?.error?.message).toMatch(/4 records of \d+ bytes in all, up to position 4/);
  expect(b.host.model.openSequences).toBe(0);
});

test('a live turn that waits for input is told of as one that computes: proxies cut silent streams', async () => {
  const b = bench();
  const session = await open(b);
  const reader = attach(session);
  session.startTurn(0, content('', true));
  for (let i = 0; i < 3; i++) b.sessions.tellProgress();
  expect(reader.notices.map(({ kind }) => kind)).toEqual(['progress', 'progress']);
  session.abort({ reason: 'stopped' });
});

test('a live turn whose caller sends nothing for too long ends, and its slot is free', async () => {
  const b = bench({ liveIdleTimeoutMs: 5000 });
  const session = await open(b);
  const reader = attach(session);
  session.startTurn(0, content('', true));
  const seconds = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      await b.clock.advance(1000);
      b.sessions.tellProgress();
    }
  };
  await seconds(5);
  session.input(0, 0, [], false);
  // The engine has it, and the caller need not send more meanwhile.
  await seconds(20);
  expect(session.end).toBeUndefined();
  b.host.model.last.sink.inputTaken(0, 1);
  await seconds(5);
  expect(session.end).toBeUndefined();
  await seconds(1);
  expect(reader.gone).toMatchObject({
    end: {
      reason: 'timed_out',
      error: { reason: 'SESSION_ENDED', metadata: { end_reason: 'timed_out' } },
    },
  });
  expect(b.host.model.openSequences).toBe(0);
});
