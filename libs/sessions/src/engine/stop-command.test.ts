import { CabstandError } from '@cabstand/core';
import { attach, bench, content, open, reasonOf } from '../session-bench.fixture';
import { StopCommand } from './stop-command';
import type { FakeReader } from '../readers.fixture';
import {
  applied,
  give,
  moduleBench,
  recordsOf,
  say,
  started,
} from '../module/module-bench.fixture';

const STOPPED = { value: '{"stopped":true}' };

/** What the records say, newest last: of the three that a stop makes, and of chunks. */
const told = (reader: FakeReader): unknown[] =>
  recordsOf(reader).map(({ applied: command, result, end_of_turn: end, more }) => {
    if (command) return [command.sequence, command.name, more];
    if (result) return [result.sequence, result.value, more];
    return end ? [end.reason, more] : 'chunk';
  });
const answer = (stopped: boolean, reason: string) => [
  [-1, 'stop', true],
  [-1, JSON.stringify({ stopped }), true],
  [reason, false],
];

describe('the command stop', () => {
  it('keeps nothing for those who do not wait for it, or no longer', async () => {
    const { turns, stops } = {
      turns: { running: { turn: 0 }, current: 0 },
      stops: { ask: jest.fn() },
    };
    const stop = new StopCommand({ turns, stops } as unknown as ConstructorParameters<
      typeof StopCommand
    >[0]);
    for (let i = 0; i < 100; i++) stop.ask(0);
    expect([stop.waiting, stops.ask.mock.calls.length]).toEqual([0, 100]);
    const gone = new AbortController();
    const outcome = stop.outcome(0, gone.signal);
    const patient = stop.outcome(0);
    expect(stop.waiting).toBe(2);
    gone.abort(new CabstandError('CANCELLED', 'the call was left'));
    await expect(outcome).rejects.toMatchObject({ reason: 'CANCELLED' });
    expect(stop.waiting).toBe(1);
    stop.close(() => new CabstandError('SESSION_ENDED', 'over'));
    await expect(patient).rejects.toMatchObject({ reason: 'SESSION_ENDED' });
    expect(stop.waiting).toBe(0);
  });

  it('ends the turn at its next step, once however often it came, and says so before the end', async () => {
    const b = bench();
    const session = await open(b);
    const reader = attach(session);
    session.startTurn(0, content());
    const { last } = b.host.model;
    last.step();
    const outcomes = [
      session.stopCommand.outcome(),
      session.stopCommand.outcome(0),
      session.stopCommand.outcome(0),
    ];
    expect(last.cancelled).toBe(0);
    last.step();
    expect(await Promise.all(outcomes)).toEqual([STOPPED, STOPPED, STOPPED]);
    expect(told(reader)).toEqual(['chunk', ...answer(true, 'END_REASON_STOPPED')]);
    expect(reader.positions).toEqual([0, 1, 2, 3]);
    session.startTurn(1, content());
    last.step();
    last.finish();
    expect(told(reader).slice(-2)).toEqual(['chunk', ['END_REASON_COMPLETED', false]]);
  });

  it('has come too late where the turn comes to its end by itself', async () => {
    const b = bench();
    const session = await open(b);
    const reader = attach(session);
    session.startTurn(0, content());
    const outcome = session.stopCommand.outcome();
    b.host.model.last.finish();
    expect(await outcome).toEqual({ value: '{"stopped":false}' });
    expect(told(reader)).toEqual(answer(false, 'END_REASON_COMPLETED'));
  });

  it('is refused where its turn does not run, and has no arguments', async () => {
    const b = bench();
    const session = await open(b);
    const noTurn = { reason: 'COMMAND_REJECTED', metadata: { code: 'no_turn' } };
    await expect(session.stopCommand.outcome()).rejects.toMatchObject(noTurn);
    session.startTurn(0, content());
    await expect(session.stopCommand.outcome(1)).rejects.toMatchObject(noTurn);
    expect(b.host.model.last.cancelled).toBeUndefined();
    expect(reasonOf(() => session.stopCommand.check('{"now":true}'))).toBe('COMMAND_INVALID');
    expect(reasonOf(() => session.stopCommand.check('[]'))).toBe('COMMAND_INVALID');
    for (const none of ['', '{}'])
      expect(reasonOf(() => session.stopCommand.check(none))).toBe('nothing thrown');
  });

  it('fails with the end of a session that comes before', async () => {
    const b = bench();
    const session = await open(b);
    session.startTurn(0, content());
    const outcome = session.stopCommand.outcome();
    session.abort({ reason: 'evicted' });
    await expect(outcome).rejects.toMatchObject({ reason: 'SESSION_EVICTED' });
  });

  it('leaves a cancel that came before as it was', async () => {
    const b = bench();
    const session = await open(b);
    const reader = attach(session);
    session.startTurn(0, content());
    session.cancelTurn(0);
    const outcome = session.stopCommand.outcome();
    b.host.model.last.step();
    expect(await outcome).toEqual({ value: '{"stopped":false}' });
    expect(told(reader).at(-1)).toEqual(['END_REASON_CANCELLED', false]);
  });

  describe('to a module', () => {
    it('is the stop that its author hears of at once; commands before it fail with the session', async () => {
      const b = moduleBench('replay');
      const { session, reader } = await started(b);
      session.commands?.take(say(0, 'a'));
      const before = session.commands?.outcome(0).catch((error: unknown) => error);
      const outcome = session.stopCommand.outcome();
      const { last } = b.host.model;
      expect([last.stopped, last.commands.length]).toEqual(['stopped', 1]);
      last.finish({ reason: 'stopped', steps: 1 });
      expect(await outcome).toEqual(STOPPED);
      expect(told(reader)).toEqual(answer(true, 'END_REASON_STOPPED'));
      session.acknowledge(2);
      expect(session.end).toEqual({ reason: 'stopped' });
      expect(await before).toMatchObject({ reason: 'SESSION_ENDED' });
    });

    it('is not undone by an engine that dies: the turn ends there, with what its consumer has', async () => {
      const b = moduleBench('replay');
      const { session, reader } = await started(b);
      give(b, applied(-1, 'a'));
      const outcome = session.stopCommand.outcome();
      b.host.model.last.fail();
      expect(await outcome).toEqual(STOPPED);
      expect(told(reader).slice(1)).toEqual(answer(true, 'END_REASON_STOPPED'));
    });

    it('comes behind what a checkpoint would have covered, and belongs together with it', async () => {
      const b = moduleBench('commit');
      const { session, reader } = await started(b);
      give(b, { chunk: { text: 'held' } });
      void session.stopCommand.outcome();
      b.host.model.last.finish({ reason: 'stopped', steps: 1 });
      expect(recordsOf(reader).map(({ more }) => more)).toEqual([true, true, true, false]);
    });
  });
});
