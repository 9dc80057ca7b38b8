import { codecs } from '@cabstand/rpc';
import { tensorOf } from '@cabstand/tensor';
import { FakeReader } from './readers.fixture';
import { attach, bench, content, expectEmpty, open, reasonOf } from './session-bench.fixture';
import type { TurnContent } from './types';

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
