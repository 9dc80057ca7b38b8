import { CabstandError } from '@cabstand/core';
import type { ToEngine } from '@cabstand/engine';
import type { EngineSnapshot, ModuleRecord, SequenceSink } from '@cabstand/sessions';
import { silentLog } from './observer';
import type { Outbox } from './outbox';
import { Sequences } from './sequences';

class Recorder implements SequenceSink {
  readonly got: unknown[] = [];
  chunk(turn: number, chunk: Buffer): void {
    this.got.push(['chunk', turn, chunk.toString()]);
  }
  endOfTurn(turn: number, end: { reason: string }): void {
    this.got.push(['end', turn, end.reason]);
  }
  snapshot(turn: number, { data }: EngineSnapshot): void {
    this.got.push(['snapshot', turn, data.toString()]);
  }

  inputTaken(turn: number, parts: number): void {
    this.got.push(['taken', turn, parts]);
  }
  record(turn: number, { field, body, more, key }: ModuleRecord): void {
    this.got.push(['record', turn, field, body.toString(), { more, key }]);
  }
  held(turn: number, number: number, bytes: number): void {
    this.got.push(['held', turn, number, bytes]);
  }

  notice(turn: number, name: string, json: string): void {
    this.got.push(['notice', turn, name, json]);
  }
  failed(error: CabstandError): void {
    this.got.push(['failed', error.reason]);
  }
}

function setUp(oneRun = true, graceMs?: number) {
  const sent: ToEngine[] = [];
  const outbox = {
    send: (frame: ToEngine) => void sent.push(frame),
    sendInput: (frame: ToEngine) => void sent.push(frame),
    credit: (sequence: number, records: number, bytes: number) =>
      void sent.push({ type: 'CREDITS', credits: [{ sequence, records, bytes }] }),
    forget: () => undefined,
  } as unknown as Outbox;
  let emptied = 0;
  const sequences = new Sequences(outbox, silentLog, () => (emptied += 1), oneRun, graceMs);
  return { sent, sequences, emptied: () => emptied };
}

const INPUT = { prompt: 'hi', parameters: {}, tensors: [], live: false };
const CRASH = new CabstandError('ENGINE_CRASHED', 'gone');
const chunk = (sequence: number, text: string) =>
  ({ kind: 'chunk', sequence, turn: 0, chunk: Buffer.from(text) }) as const;

test('each sequence gets its own items, in order, and none after it closed', () => {
  const { sequences, sent, emptied } = setUp();
  const [a, b] = [new Recorder(), new Recorder()];
  const first = sequences.open(a, { priority: 0 });
  const second = sequences.open(b, { priority: 9 });
  sequences.dispatch([
    chunk(1, 'a0'),
    chunk(2, 'b0'),
    { kind: 'taken', sequence: 2, turn: 0, parts: 3 },
    { kind: 'end', sequence: 1, turn: 0, end: { reason: 'completed', steps: 1 } },
    chunk(99, 'of nobody'),
  ]);
  first.close();
  sequences.dispatch([chunk(1, 'late'), chunk(2, 'b1')]);
  first.credit(1, 1);
  first.cancel(0);
  first.close();
  expect(a.got).toEqual([
    ['chunk', 0, 'a0'],
    ['end', 0, 'completed'],
  ]);
  expect(b.got).toEqual([
    ['chunk', 0, 'b0'],
    ['taken', 0, 3],
    ['chunk', 0, 'b1'],
  ]);
  expect(sent).toEqual([
    { type: 'OPEN', sequence: 1, priority: 0 },
    { type: 'OPEN', sequence: 2, priority: 9 },
    { type: 'CLOSE', sequence: 1 },
  ]);
  expect(emptied()).toBe(0);
  second.close();
  expect(emptied()).toBe(1);
});

test('there is work while a turn runs with credit', () => {
  const { sequences } = setUp();
  const sequence = sequences.open(new Recorder(), { priority: 0 });
  expect(sequences.hasWork).toBe(false);
  sequence.startTurn(0, INPUT);
  expect(sequences.hasWork).toBe(false);
  sequence.credit(2, 1_000);
  expect(sequences.hasWork).toBe(true);
  sequences.dispatch([chunk(1, 'x'), chunk(1, 'y')]);
  expect(sequences.hasWork).toBe(false);
  sequence.credit(2, 1_000);
  expect(sequences.hasWork).toBe(true);
  sequences.dispatch([
    { kind: 'end', sequence: 1, turn: 0, end: { reason: 'completed', steps: 2 } },
  ]);
  expect(sequences.hasWork).toBe(false);
});

test('a sink that throws harms itself only', () => {
  const { sequences, sent } = setUp();
  const good = new Recorder();
  const failures: string[] = [];
  const bad: SequenceSink = {
    chunk: () => {
      throw new Error('full');
    },
    endOfTurn: () => undefined,
    inputTaken: () => undefined,
    record: () => undefined,
    held: () => undefined,
    notice: () => undefined,
    snapshot: () => undefined,
    failed: (error) => {
      failures.push(error.reason);
      throw new Error('still full');
    },
  };
  sequences.open(bad, { priority: 0 });
  sequences.open(good, { priority: 0 });
  sequences.dispatch([chunk(1, 'x'), chunk(2, 'y')]);
  expect(failures).toEqual(['INTERNAL']);
  expect(good.got).toEqual([['chunk', 0, 'y']]);
  expect(sent.at(-1)).toEqual({ type: 'CLOSE', sequence: 1 });
  expect(sequences.size).toBe(1);
});

test('when the engine goes all fail once, and nothing is sent any more', () => {
  const { sequences, sent } = setUp();
  const [a, b] = [new Recorder(), new Recorder()];
  const first = sequences.open(a, { priority: 0 });
  sequences.open(b, { priority: 0 });
  expect(sequences.failAll(CRASH)).toBe(2);
  expect(sequences.failAll(CRASH)).toBe(0);
  first.startTurn(0, INPUT);
  first.close();
  expect(a.got).toEqual([['failed', 'ENGINE_CRASHED']]);
  expect(b.got).toEqual([['failed', 'ENGINE_CRASHED']]);
  expect(sent).toHaveLength(2);
});

test('a turn far larger than those before is unusual until it has ended', () => {
  const { sequences } = setUp();
  const sequence = sequences.open(new Recorder(), { priority: 0 });
  sequence.credit(100, 1e9);
  const play = (turn: number, kib: number): boolean => {
    const data = new Uint8Array(kib * 1024);
    const tensors = [{ name: 'x', dtype: 'uint8', shape: [data.length], data } as const];
    sequence.startTurn(turn, { prompt: '', parameters: {}, tensors, live: false });
    const { unusual } = sequences;
    const end = { reason: 'completed', steps: 1 } as const;
    sequences.dispatch([{ kind: 'end', sequence: 1, turn, end }]);
    expect(sequences.unusual).toBe(false);
    return unusual;
  };
  expect(play(0, 60)).toBe(false);
  expect(play(1, 1024)).toBe(true);
  // What comes again and again is what steps are used to.
  for (let turn = 2; turn < 20; turn += 1) play(turn, 1024);
  expect(play(20, 1024)).toBe(false);
  expect(play(21, 16 * 1024)).toBe(true);
});

test('where a turn has many steps, how much it brings says nothing of one', () => {
  const { sequences } = setUp(false);
  const sequence = sequences.open(new Recorder(), { priority: 0 });
  sequence.credit(100, 1e9);
  const data = new Uint8Array(4 * 1024 * 1024);
  const tensors = [{ name: 'x', dtype: 'uint8', shape: [data.length], data } as const];
  sequence.startTurn(0, { prompt: '', parameters: {}, tensors, live: false });
  expect(sequences.unusual).toBe(false);
});

describe('sequences of a module', () => {
  const record = { kind: 'record', sequence: 1, turn: 0, field: 8, point: 3, chain: 7 } as const;
  const end = { kind: 'end', sequence: 1, turn: 0, end: { reason: 'stopped', steps: 0 } } as const;

  test('get records and notices, and use credit for records alone', () => {
    const { sequences, sent } = setUp(false, 1000);
    const sink = new Recorder();
    const sequence = sequences.open(sink, { priority: 0, owner: 'alice', session: 's', seed: 5 });
    expect(sent[0]).toMatchObject({ session: 's', seed: 5 });
    expect(sequences.factsOf(1)).toEqual({ session_id: 's', principal: 'alice' });
    sequence.startTurn(0, INPUT);
    sequence.credit(1, 100);
    sequences.dispatch([
      { kind: 'notice', sequence: 1, turn: 0, name: 'level', json: '1' },
      { kind: 'held', sequence: 1, turn: 0, number: 2, bytes: 30 },
      { ...record, flags: 3, body: Buffer.from('x') },
    ]);
    expect(sequences.hasWork).toBe(false);
    expect(sink.got).toEqual([
      ['notice', 0, 'level', '1'],
      ['held', 0, 2, 30],
      ['record', 0, 8, 'x', { more: true, key: true }],
    ]);
  });

  test('leave when the code has ended, not when they are closed', () => {
    const { sequences, sent, emptied } = setUp(false, 1000);
    const sink = new Recorder();
    const sequence = sequences.open(sink, { priority: 0 });
    sequence.startTurn(0, INPUT);
    sequence.close('cancelled');
    sequence.close();
    expect(sent.at(-1)).toEqual({ type: 'STOP', sequence: 1, reason: 'cancelled', graceMs: 1000 });
    sequences.dispatch([{ ...record, flags: 0, body: Buffer.from('x') }]);
    expect([sequences.size, emptied()]).toEqual([1, 0]);
    sequences.dispatch([end]);
    expect(sent.at(-1)).toEqual({ type: 'CLOSE', sequence: 1 });
    expect([sequences.size, emptied()]).toEqual([0, 1]);
    expect(sink.got).toEqual([]);
  });

  test('that are to leave do not hear of the death of their engine', () => {
    const { sequences } = setUp(false, 1000);
    const sink = new Recorder();
    const sequence = sequences.open(sink, { priority: 0 });
    sequence.startTurn(0, INPUT);
    sequence.close();
    expect(sequences.failAll(CRASH)).toBe(0);
    expect(sink.got).toEqual([]);
  });

  test('without a turn are gone at once', () => {
    const { sequences, sent } = setUp(false, 1000);
    sequences.open(new Recorder(), { priority: 0 }).close();
    expect(sent.at(-1)).toEqual({ type: 'CLOSE', sequence: 1 });
    expect(sequences.size).toBe(0);
  });
});
