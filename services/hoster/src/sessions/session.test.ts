import { CabstandError, FakeClock } from '@cabstand/core';
import { codecs } from '@cabstand/rpc';
import { tensorOf } from '@cabstand/tensor';
import { FakeHost, testSealer } from './host.fixture';
import { FakeReader } from './readers.fixture';
import { Sessions } from './sessions';
import type { OpenRequest } from './sessions';
import type { SessionOptions } from './options';
import type { Session } from './session';
import type { Epoch, TurnContent } from './types';

const forever = new AbortController().signal;
const epoch = (counter: number, owner = 'aa'): Epoch => ({ counter, owner });
const content = (prompt = 'hi', live = false): TurnContent => ({
  prompt,
  parameters: {},
  tensors: [],
  live,
});

interface Bench {
  readonly clock: FakeClock;
  readonly host: FakeHost;
  readonly sessions: Sessions;
}

function bench(options: SessionOptions = {}, capacity = 4): Bench {
  const clock = new FakeClock();
  const host = new FakeHost(capacity);
  return {
    clock,
    host,
    sessions: new Sessions({ host, clock, observer: {}, sealer: testSealer(), options }),
  };
}

async function open(b: Bench, request: Partial<OpenRequest> = {}): Promise<Session> {
  return await b.sessions.open(
    {
      id: 's',
      principal: 'alice',
      model: 'fake',
      retention: 'durable',
      epoch: epoch(1),
      priority: 0,
      ...request,
    },
    forever,
  );
}

function attach(
  session: Session,
  from?: number,
  reader = new FakeReader(),
  e = epoch(1),
): FakeReader {
  reader.attachment = session.attach(reader, e, from);
  return reader;
}

function reasonOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return CabstandError.from(error).reason;
  }
  return 'nothing thrown';
}

/** Nothing may be left of any session. */
function expectEmpty(b: Bench): void {
  expect(b.sessions.size).toBe(0);
  expect(b.sessions.principals).toBe(0);
  expect(b.host.model.openSequences).toBe(0);
  expect(b.clock.pending).toBe(0);
}

describe('a session', () => {
  it('numbers records from 0 without gaps over its turns, ends of turns included', async () => {
    const b = bench();
    const session = await open(b);
    const reader = attach(session);
    const engine = b.host.model.last;
    for (const turn of [0, 1]) {
      session.startTurn(turn, content(`turn ${turn}`));
      engine.step();
      engine.step();
      engine.finish();
    }
    expect(reader.positions).toEqual([0, 1, 2, 3, 4, 5]);
    expect(reader.kinds).toBe('ccecce');
    expect(b.host.model.sequences).toHaveLength(1);
    const { record } = codecs.SessionStreamResponse.decode(reader.entries[4]?.bytes as Buffer);
    expect(record).toMatchObject({ position: 4, turn: 1, epoch: 1 });
    session.close({ reason: 'completed' });
    expect(reader.gone).toMatchObject({ kind: 'ended', end: { reason: 'completed' } });
    expectEmpty(b);
  });

  it('lets the engine run no further ahead than the journal holds', async () => {
    const b = bench({ journalRecords: 8 });
    const session = await open(b);
    const reader = attach(session);
    session.startTurn(0, content());
    const engine = b.host.model.last;
    let produced = 0;
    while (engine.step()) produced++;
    expect(produced).toBe(8);
    expect(reader.entries).toHaveLength(8);
    session.acknowledge(4);
    while (engine.step()) produced++;
    expect(produced).toBe(13);
    expect(session.journal.records).toBe(8);
  });

  it('goes on after the smallest acknowledgement when the engine stands still', async () => {
    const b = bench({ journalRecords: 100 });
    const session = await open(b);
    attach(session);
    session.startTurn(0, content());
    const engine = b.host.model.last;
    while (engine.step());
    session.acknowledge(0);
    expect(engine.step()).toBe(true);
  });

  it('bounds the journal in bytes, and still makes way for a record larger than the bound', async () => {
    const b = bench({ journalBytes: 100 });
    const session = await open(b, { retention: 'kept' });
    const reader = attach(session, undefined, new FakeReader(1));
    session.startTurn(0, content());
    const engine = b.host.model.last;
    let produced = 0;
    while (engine.step(60)) produced++;
    expect(produced).toBeLessThan(5);
    reader.read(1);
    for (let i = 0; i < 10; i++) {
      while (engine.step(120));
      expect(session.journal.bytes).toBeLessThan(400);
      reader.read(1);
    }
    expect(reader.entries.length).toBeGreaterThan(8);
  });

  it('keeps only what a slow reader has not taken when it is not durable', async () => {
    const b = bench({ journalRecords: 8 });
    const session = await open(b, { retention: 'kept' });
    const reader = attach(session, undefined, new FakeReader(2));
    session.startTurn(0, content());
    const engine = b.host.model.last;
    while (engine.step());
    expect(reader.entries).toHaveLength(2);
    expect(session.journal.records).toBe(8);
    reader.read(100);
    expect(session.journal.records).toBe(0);
    while (engine.step());
    expect(reader.positions).toEqual([...Array(reader.entries.length).keys()]);
  });

  it('a slow reader pauses no session but its own', async () => {
    const b = bench({ journalRecords: 4 });
    const slow = await open(b, { id: 'slow', retention: 'kept' });
    attach(slow, undefined, new FakeReader(1));
    const quick = await open(b, { id: 'quick', retention: 'kept' });
    const reader = attach(quick);
    slow.startTurn(0, content());
    quick.startTurn(0, content());
    const [slowEngine, quickEngine] = b.host.model.sequences;
    for (let i = 0; i < 50; i++) {
      slowEngine?.step();
      quickEngine?.step();
    }
    expect(slowEngine?.steps).toBe(5);
    expect(reader.entries).toHaveLength(50);
  });

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

  it('takes a turn once, whatever is sent again', async () => {
    const b = bench();
    const session = await open(b);
    attach(session);
    expect(reasonOf(() => session.startTurn(1, content()))).toBe('TURN_OUT_OF_ORDER');
    expect(reasonOf(() => session.startTurn(-1, content()))).toBe('TURN_OUT_OF_ORDER');
    expect(session.startTurn(0, content())).toBe('started');
    expect(session.startTurn(0, content())).toBe('running');
    expect(reasonOf(() => session.startTurn(0, content('other')))).toBe('TURN_CONFLICT');
    const valued = (value: number): TurnContent => ({
      ...content(''),
      tensors: [tensorOf('x', new Float32Array([value]))],
    });
    expect(reasonOf(() => session.startTurn(0, valued(1)))).toBe('TURN_CONFLICT');
    expect(reasonOf(() => session.startTurn(1, content()))).toBe('SESSION_BUSY');
    b.host.model.last.finish();
    expect(session.startTurn(1, content())).toBe('started');
    expect(reasonOf(() => session.startTurn(0, content()))).toBe('TURN_OUT_OF_ORDER');
    expect(b.host.model.last.turns.map(({ turn }) => turn)).toEqual([0, 1]);
    b.host.model.last.finish();
    expect(session.startTurn(2, valued(1))).toBe('started');
    expect(session.startTurn(2, valued(1))).toBe('running');
    expect(reasonOf(() => session.startTurn(2, valued(2)))).toBe('TURN_CONFLICT');
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

  it('numbers live input: takes each part once, refuses gaps, says what was applied', async () => {
    const b = bench();
    const session = await open(b);
    const reader = attach(session);
    const tensors = [tensorOf('x', new Float32Array(4))];
    session.startTurn(0, content('', true));
    session.input(0, 0, tensors, false);
    session.input(0, 0, tensors, false);
    expect(reasonOf(() => session.input(0, 2, tensors, false))).toBe('INVALID_ARGUMENT');
    expect(reasonOf(() => session.input(1, 0, tensors, false))).toBe('TURN_OUT_OF_ORDER');
    session.input(0, 1, tensors, true);
    expect(reasonOf(() => session.input(0, 2, tensors, false))).toBe('INVALID_ARGUMENT');
    const engine = b.host.model.last;
    expect(engine.inputs.map(({ part }) => part)).toEqual([0, 1]);
    engine.sink.inputTaken(0, 2);
    engine.finish();
    expect(reader.kinds).toBe('iie');
    expect(reader.notices).toEqual([{ kind: 'accepted', turn: 0, nextInput: 2 }]);
    // Late parts of a turn that is over harm nobody.
    session.input(0, 2, tensors, false);
  });

  it('makes a sender of live input wait, but never for what only its own acknowledgement frees', async () => {
    const b = bench({ liveParts: 2, journalRecords: 4 });
    const session = await open(b);
    attach(session);
    session.startTurn(0, content('', true));
    const engine = b.host.model.last;
    session.input(0, 0, [], false);
    expect(session.inputRoom()).toBeUndefined();
    session.input(0, 1, [], false);
    let woken = false;
    void session.inputRoom()?.then(() => (woken = true));
    await b.clock.advance(0);
    expect(woken).toBe(false);
    engine.sink.inputTaken(0, 1);
    await b.clock.advance(0);
    expect(woken).toBe(true);
    session.input(0, 2, [], false);
    expect(session.inputRoom()).toBeDefined();
    while (engine.step());
    expect(session.inputRoom()).toBeUndefined();
    expect(reasonOf(() => session.input(0, 3, [], false))).toBe('LIMIT_EXCEEDED');
  });

  it('cancels a turn before its next step and stays open', async () => {
    const b = bench();
    const session = await open(b);
    const reader = attach(session);
    session.startTurn(0, content());
    const engine = b.host.model.last;
    engine.step();
    session.cancelTurn(0);
    engine.step();
    expect(reader.kinds).toBe('ce');
    session.cancelTurn(0);
    expect(reasonOf(() => session.cancelTurn(1))).toBe('TURN_OUT_OF_ORDER');
    expect(session.startTurn(1, content())).toBe('started');
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

  it('refuses turns that would pile up unacknowledged ends', async () => {
    const b = bench({ journalRecords: 2 });
    const session = await open(b);
    attach(session);
    for (let turn = 0; turn < 3; turn++) {
      session.startTurn(turn, content());
      b.host.model.last.finish();
    }
    expect(reasonOf(() => session.startTurn(3, content()))).toBe('LIMIT_EXCEEDED');
    session.acknowledge(2);
    expect(session.startTurn(3, content())).toBe('started');
    expect(reasonOf(() => session.acknowledge(3))).toBe('POSITION_INVALID');
    expect(reasonOf(() => session.acknowledge(-1))).toBe('POSITION_INVALID');
  });
});
