import { codecs } from '@cabstand/rpc';
import { FakeReader } from '../readers.fixture';
import {
  attach,
  bench,
  content,
  epoch,
  expectEmpty,
  open,
  reasonOf,
} from '../session-bench.fixture';

describe('the reader of a session', () => {
  it('sends the journal again to a consumer that re-attaches, and computes nothing twice', async () => {
    const b = bench();
    const session = await open(b);
    const first = attach(session);
    session.startTurn(0, content());
    const engine = b.host.model.last;
    for (let i = 0; i < 5; i++) engine.step();
    first.attachment?.detach('cancelled');
    expect(session.state).toBe('orphaned');
    expect(engine.step()).toBe(false);
    const second = attach(session, 3);
    expect(session.startTurn(0, content())).toBe('running');
    engine.step();
    engine.finish();
    expect(second.positions).toEqual([3, 4, 5, 6]);
    expect(engine.turns).toHaveLength(1);
    expect(session.startTurn(0, content())).toBe('over');
    expect(reasonOf(() => attach(session, 2))).toBe('POSITION_INVALID');
    expect(reasonOf(() => attach(session, 8))).toBe('POSITION_INVALID');
    expect(reasonOf(() => attach(session, -1))).toBe('POSITION_INVALID');
    expect(reasonOf(() => attach(session, 1e300))).toBe('POSITION_INVALID');
  });

  it('pauses within a step when its consumer is gone, and ends when nobody comes', async () => {
    const b = bench({ orphanTimeoutMs: 60_000 });
    const session = await open(b);
    const reader = attach(session);
    session.startTurn(0, content());
    const engine = b.host.model.last;
    engine.step();
    reader.attachment?.detach('cancelled');
    expect(engine.records).toBeLessThanOrEqual(0);
    await b.clock.advance(59_999);
    expect(session.state).toBe('orphaned');
    await b.clock.advance(1);
    expect(session.end).toEqual({ reason: 'timed_out' });
    expectEmpty(b);
    expect(b.sessions.status('s', 'alice').end?.reason).toBe('timed_out');
  });

  it('ends with its consumer when it is not durable, and within a turn when it is kept', async () => {
    const b = bench();
    const call = await open(b, { id: undefined, retention: 'call' });
    attach(call).attachment?.detach('cancelled');
    expect(call.end?.reason).toBe('cancelled');
    const kept = await open(b, { retention: 'kept' });
    const between = attach(kept);
    between.attachment?.detach('cancelled');
    expect(kept.state).toBe('orphaned');
    const within = attach(kept);
    kept.startTurn(0, content());
    within.attachment?.detach('timed_out');
    expect(kept.end?.reason).toBe('timed_out');
    expectEmpty(b);
  });

  it('fences lower epochs off and lets a higher one take over', async () => {
    const b = bench();
    const session = await open(b, { epoch: epoch(3) });
    const first = attach(session, undefined, new FakeReader(), epoch(3));
    expect(reasonOf(() => session.claim(epoch(2)))).toBe('EPOCH_FENCED');
    expect(reasonOf(() => session.claim(epoch(3, 'bb')))).toBe('EPOCH_FENCED');
    expect(first.gone).toBeUndefined();
    session.startTurn(0, content());
    b.host.model.last.step();
    const second = attach(session, 1, new FakeReader(), epoch(4, 'bb'));
    expect(first.gone).toMatchObject({ kind: 'replaced', error: { reason: 'EPOCH_FENCED' } });
    b.host.model.last.step();
    expect(second.positions).toEqual([1]);
    const { record } = codecs.SessionStreamResponse.decode(second.entries[0]?.bytes as Buffer);
    expect(record?.epoch).toBe(4);
    // What the first one still does has no effect.
    first.attachment?.detach('cancelled');
    expect(session.state).toBe('streaming');
  });

  it('lets the newer of two calls of one consumer read on, and tells the other so', async () => {
    const b = bench();
    const session = await open(b);
    const first = attach(session);
    session.startTurn(0, content());
    b.host.model.last.step();
    const second = attach(session, 0);
    expect(first.gone).toMatchObject({
      kind: 'replaced',
      error: { reason: 'CANCELLED', metadata: { replaced_by: 'same_consumer' } },
    });
    expect(second.positions).toEqual([0]);
  });

  it('refuses an invalid attachment without disturbing the consumer that is there', async () => {
    const b = bench();
    const session = await open(b);
    const reader = attach(session);
    expect(reasonOf(() => attach(session, 5, new FakeReader(), epoch(2)))).toBe('POSITION_INVALID');
    expect(reader.gone).toBeUndefined();
    expect(session.epoch.counter).toBe(1);
  });

  it('delivers what was produced before it tells that the engine died', async () => {
    const b = bench();
    const session = await open(b, { retention: 'kept' });
    const reader = attach(session, undefined, new FakeReader(1));
    session.startTurn(0, content());
    const engine = b.host.model.last;
    engine.step();
    engine.step();
    engine.fail();
    expect(session.state).toBe('closing');
    expect(reasonOf(() => session.startTurn(1, content()))).toBe('SESSION_LOST');
    reader.read(10);
    expect(reader.positions).toEqual([0, 1]);
    expect(reader.gone).toMatchObject({
      kind: 'ended',
      end: { reason: 'lost', error: { reason: 'ENGINE_CRASHED' } },
    });
    expectEmpty(b);
    expect(reasonOf(() => b.sessions.find('s', 'alice'))).toBe('SESSION_LOST');
  });

  it('does not wait for ever for a reader of what is left', async () => {
    const b = bench({ closeTimeoutMs: 1000 });
    const session = await open(b);
    const reader = attach(session, undefined, new FakeReader(1));
    session.startTurn(0, content());
    b.host.model.last.step();
    b.host.model.last.step();
    session.close({ reason: 'stopped' });
    await b.clock.advance(1000);
    expect(reader.gone).toMatchObject({ kind: 'ended' });
    expectEmpty(b);
  });
});
