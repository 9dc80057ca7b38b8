import { HELD_PARTS } from '@cabstand/engine';
import { ANY_INPUT } from '@cabstand/testing';
import { attach, content, open, reasonOf } from '../session-bench.fixture';
import { Field } from './body';
import {
  chainFrom,
  moduleBench,
  serialized,
  give,
  chunk,
  applied,
  say,
  snapshot,
  recordsOf,
  textsOf,
  started,
  die,
} from './module-bench.fixture';

describe('a module that replays', () => {
  it('goes on behind what was delivered: records that come again are dropped', async () => {
    const b = moduleBench('replay');
    const { reader } = await started(b);
    give(b, chunk('0'));
    snapshot(b, 1);
    give(b, { recorded: { name: 'now', json: '7' } }, { point: 1 });
    give(b, chunk('2'), { point: 2 });
    die(b);
    const { turns, sink } = b.host.model.last;
    const entry = { kind: 'value', name: 'now', json: '7', point: 1 };
    expect(turns[0]?.again).toEqual({ entries: [entry], records: 3, chain: 3 });
    chainFrom(1);
    give(b, { recorded: { name: 'now', json: '7' } }, { point: 1 });
    sink.notice(0, 'level', '1');
    give(b, chunk('2'), { point: 2 });
    give(b, chunk('3'), { point: 3 });
    sink.notice(0, 'level', '2');
    expect(textsOf(reader)).toEqual(['0', undefined, '2', '3']);
    expect(reader.positions).toEqual([0, 1, 2, 3]);
    expect(recordsOf(reader).map((record) => [record.point, record.chain])).toEqual([
      [0, 1],
      [1, 2],
      [2, 3],
      [3, 4],
    ]);
    const told = reader.notices.filter(({ kind }) => kind === 'module');
    expect(told).toEqual([{ kind: 'module', turn: 0, name: 'level', json: '2' }]);
  });

  it('counts a part as used up by its record', async () => {
    const b = moduleBench('replay');
    b.host.model.signature = { ...ANY_INPUT, sessions: b.host.model.signature.sessions };
    const session = await open(b, { retention: 'durable' });
    const reader = attach(session);
    session.startTurn(0, { ...content(), prompt: '', live: true });
    const tensors = [{ name: 'x', dtype: 'uint8', shape: [1], data: Uint8Array.of(1) } as const];
    session.input(0, 0, tensors, false);
    give(b, { input: { part: 0 } });
    expect(session.accepted).toMatchObject({ nextInput: 1 });
    expect(reader.notices.filter(({ kind }) => kind === 'accepted')).toEqual([]);
    expect(recordsOf(reader).map(({ input }) => input?.part)).toEqual([0]);
  });
});

describe('a module that commits', () => {
  it('gives its records with the checkpoint behind them, the last of which carries it', async () => {
    const b = moduleBench('commit');
    const { reader } = await started(b);
    give(b, chunk('0'), { more: true });
    give(b, chunk('1'));
    expect(reader.entries).toEqual([]);
    snapshot(b, 2);
    expect(recordsOf(reader).map(({ more, checkpoint }) => [more, checkpoint?.position])).toEqual([
      [true, undefined],
      [false, 2],
    ]);
    expect(reader.notices.filter(({ kind }) => kind === 'checkpoint')).toEqual([]);
  });

  it('ends by name where its author waits for input that may not come before his checkpoint', async () => {
    const b = moduleBench('commit', { liveParts: 2 });
    b.host.model.signature = { ...ANY_INPUT, sessions: b.host.model.signature.sessions };
    const session = await open(b, { retention: 'durable' });
    attach(session);
    session.startTurn(0, { ...content(), prompt: '', live: true });
    session.input(0, 0, [], false);
    const { sink } = b.host.model.last;
    sink.held(0, HELD_PARTS, 1);
    session.input(0, 1, [], false);
    // He has not asked for more than he was sent.
    sink.held(0, HELD_PARTS, 1);
    expect(session.end).toBeUndefined();
    sink.held(0, HELD_PARTS, 2);
    expect(session.end).toMatchObject({
      reason: 'error',
      error: { reason: 'MODULE_FAILED', metadata: { problem: 'uncommitted', parts: '2' } },
    });
  });

  it('forgets what no checkpoint holds when its engine dies', async () => {
    const b = moduleBench('commit');
    const { session, reader } = await started(b);
    session.commands?.take(say(0, 'a'));
    give(b, chunk('0'));
    snapshot(b, 1);
    give(b, applied(0, 'a'), { more: true });
    die(b);
    const { turns, commands } = b.host.model.last;
    expect(turns[0]?.again).toBeUndefined();
    expect(commands.map(({ number }) => number)).toEqual([0]);
    give(b, chunk('other'));
    snapshot(b, 2);
    expect(textsOf(reader)).toEqual(['0', 'other']);
    expect(reader.positions).toEqual([0, 1]);
  });

  it('ends with its last group: the end of the turn belongs to it', async () => {
    const b = moduleBench('commit');
    const { reader } = await started(b);
    give(b, chunk('0'));
    snapshot(b, 1, true);
    b.host.model.last.finish();
    const [record, end] = recordsOf(reader);
    expect(record).toMatchObject({ more: true, checkpoint: null });
    expect(end?.end_of_turn?.checkpoint?.position).toBe(2);
  });

  it('whose session is not durable gives each group as it is complete', async () => {
    const b = moduleBench('commit');
    const { reader } = await started(b, false);
    give(b, chunk('0'), { more: true });
    expect(reader.entries).toEqual([]);
    give(b, chunk('1'));
    expect(textsOf(reader)).toEqual(['0', '1']);
  });
});

describe('the end of a module', () => {
  it('is that of its session, once its consumer has acknowledged all of it', async () => {
    const b = moduleBench('replay');
    const { session, reader } = await started(b);
    give(b, chunk('0'));
    b.host.model.last.finish();
    expect(b.host.model.last.closed).toBe(true);
    expect(session.end).toBeUndefined();
    expect(reasonOf(() => session.startTurn(1, content()))).toBe('SESSION_ENDED');
    session.acknowledge(1);
    expect(reader.gone).toMatchObject({ kind: 'ended', end: { reason: 'completed' } });
  });

  it('waits for a reader that is not there', async () => {
    const b = moduleBench('replay');
    const { session, reader } = await started(b);
    reader.attachment?.detach('cancelled');
    b.host.model.last.finish({
      ...{ reason: 'error', steps: 0 },
      error: { reason: 'MODULE_FAILED', message: 'Error: no', metadata: {} },
    });
    expect(session.end).toBeUndefined();
    const next = attach(session, 0);
    expect(next.kinds).toBe('e');
    session.acknowledge(0);
    expect(next.gone).toMatchObject({
      end: { reason: 'error', error: { reason: 'MODULE_FAILED' } },
    });
  });

  it('is asked for where the session is closed, and has the reason of that', async () => {
    const b = moduleBench('replay');
    const { session, reader } = await started(b, false);
    session.close({ reason: 'stopped' });
    expect(b.host.model.last.stopped).toBe('stopped');
    expect(session.end).toBeUndefined();
    give(b, chunk('last words'));
    b.host.model.last.finish({ reason: 'stopped', steps: 0 });
    expect(textsOf(reader)).toEqual(['last words', undefined]);
    expect(reader.gone).toMatchObject({ end: { reason: 'stopped' } });
  });

  it('waits for nobody where the session was closed and its reader is gone', async () => {
    for (const leaves of ['before', 'behind'] as const) {
      const b = moduleBench('replay');
      const { session, reader } = await started(b);
      session.close({ reason: 'stopped' });
      if (leaves === 'before') reader.attachment?.detach('cancelled');
      expect(session.end).toBeUndefined();
      give(b, chunk('last words'));
      b.host.model.last.finish({ reason: 'stopped', steps: 0 });
      if (leaves === 'behind') {
        expect(session.end).toBeUndefined();
        reader.attachment?.detach('cancelled');
      }
      expect(session.end).toMatchObject({ reason: 'stopped' });
    }
  });

  it('comes with the death of an engine that was to stop it: nothing is computed again', async () => {
    const b = moduleBench('replay');
    const { session, reader } = await started(b);
    give(b, chunk('0'));
    session.cancelTurn(0);
    expect(b.host.model.last.stopped).toBe('cancelled');
    die(b);
    expect(b.host.model.sequences).toHaveLength(1);
    expect(recordsOf(reader).at(-1)).toMatchObject({
      ...{ position: 1, end_of_turn: { reason: 'END_REASON_CANCELLED' } },
    });
    session.acknowledge(1);
    expect(session.end).toMatchObject({ reason: 'cancelled' });
  });

  it('comes with the death of any engine where it survives none', async () => {
    const b = moduleBench('none');
    const { session } = await started(b);
    give(b, chunk('0'));
    die(b);
    expect(session.end).toMatchObject({
      reason: 'lost',
      error: { reason: 'SESSION_LOST', metadata: { problem: 'no_survival' } },
    });
    expect(await session.handOver().catch((error: unknown) => error)).toMatchObject({
      reason: 'SESSION_LOST',
    });
  });

  it('comes when it may live no longer', async () => {
    const b = moduleBench('replay');
    const { session } = await started(b);
    await b.clock.advance(59_000);
    session.tellProgress();
    expect(b.host.model.last.stopped).toBeUndefined();
    await b.clock.advance(1_000);
    session.tellProgress();
    expect(b.host.model.last.stopped).toBe('timed_out');
  });
});

test('bodies have the numbers of the contract', () => {
  expect(serialized(chunk('a')).field).toBe(Field.chunk);
  expect(serialized({ recorded: { name: 'a' } }).field).toBe(Field.recorded);
});
