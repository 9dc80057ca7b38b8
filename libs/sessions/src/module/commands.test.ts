import { CabstandError } from '@cabstand/core';
import { reasonOf } from '../session-bench.fixture';
import type { Session } from '../session';
import { chainFrom, moduleBench, give, applied, say, started, die } from './module-bench.fixture';

describe('commands', () => {
  it('reach the engine once each, in order, and are answered when their result is a record', async () => {
    const b = moduleBench('replay');
    const { session } = await started(b);
    session.commands?.take(say(0, 'a'));
    session.commands?.take(say(0, 'a'));
    session.commands?.take(say(1, 'b'));
    expect(b.host.model.last.commands.map(({ number }) => number)).toEqual([0, 1]);
    const outcome = session.commands?.outcome(0);
    give(b, applied(0, 'a'));
    give(b, { result: { sequence: 0, value: '{"n":1}' } });
    expect(await outcome).toEqual({ value: '{"n":1}' });
    expect(await session.commands?.outcome(0)).toEqual({ value: '{"n":1}' });
    give(b, applied(1, 'b'));
    const error = { reason: 'COMMAND_REJECTED', message: 'no', metadata: { code: 'tired' } };
    give(b, { result: { sequence: 1, error } });
    expect(await session.commands?.outcome(1)).toEqual({ error });
  });

  it('are refused where they leave a gap, differ from what came, or are too many', async () => {
    const b = moduleBench('replay', { journalCommands: 1, journalRecords: 1 });
    const { session } = await started(b);
    const { commands } = session;
    const refusal = (number: number, name: string, json: string) =>
      reasonOf(() => commands?.take({ number, name, arguments: json }));
    expect(refusal(1, 'say', '{"prompt":"a"}')).toBe('INVALID_ARGUMENT');
    expect(refusal(-1, 'say', '{"prompt":"a"}')).toBe('INVALID_ARGUMENT');
    commands?.take(say(0, 'a'));
    expect(refusal(0, 'say', '{"prompt":"b"}')).toBe('COMMAND_CONFLICT');
    give(b, applied(0, 'a'));
    expect(refusal(0, 'say', '{"prompt":"b"}')).toBe('COMMAND_CONFLICT');
    commands?.take(say(1, 'b'));
    commands?.take(say(2, 'c'));
    expect(commands?.hasRoom).toBe(false);
    // Libraries have so many under way: acknowledgements may lie behind them.
    for (let number = 3; number < 65; number++) commands?.take(say(number, 'd'));
    expect(refusal(65, 'say', '{"prompt":"d"}')).toBe('RATE_LIMITED');
    expect(b.host.model.last.commands.length).toBeLessThanOrEqual(3);
  });

  it('that are too large reach the module cut, as large as shows that they are', async () => {
    const b = moduleBench('replay');
    const { session } = await started(b);
    const { commands } = session;
    // Three bytes each: cut behind one of them.
    const large = { number: 0, name: 'é'.repeat(5000), arguments: '"' + '€'.repeat(100_000) };
    commands?.take(large);
    const [sent] = b.host.model.last.commands;
    expect(Buffer.byteLength(sent?.arguments ?? '')).toBeGreaterThan(100);
    expect(Buffer.byteLength(sent?.arguments ?? '')).toBeLessThanOrEqual(104);
    expect(Buffer.byteLength(sent?.name ?? '')).toBeLessThanOrEqual(4096);
    expect(large.arguments.startsWith(sent?.arguments ?? '?')).toBe(true);
    // It has its number, and is the same one when it comes again.
    commands?.take(large);
    const { number: sequence, name = '', arguments: json = '' } = sent ?? {};
    give(b, { applied: { sequence: sequence ?? -1, name, arguments: json } });
    commands?.take(large);
    expect(commands?.next).toBe(1);
    expect(reasonOf(() => commands?.take({ ...large, name: 'e' }))).toBe('COMMAND_CONFLICT');
  });

  it('that the module may not know reach it all the same: its records say what became of them', async () => {
    const b = moduleBench('replay');
    const { session } = await started(b);
    session.commands?.take({ number: 0, name: 'sing', arguments: '{"prompt":"too long"}' });
    expect(b.host.model.last.commands).toEqual([
      { number: 0, name: 'sing', arguments: '{"prompt":"too long"}' },
    ]);
  });

  it('that were not applied are sent to the next engine, and those that were are not', async () => {
    const b = moduleBench('replay');
    const { session } = await started(b);
    session.commands?.take(say(0, 'a'));
    session.commands?.take(say(1, 'b'));
    give(b, applied(0, 'a'), { point: 3 });
    die(b);
    const next = b.host.model.last;
    expect(next.commands.map(({ number }) => number)).toEqual([1]);
    expect(next.turns[0]?.again).toEqual({
      entries: [{ kind: 'command', number: 0, name: 'say', arguments: '{"prompt":"a"}', point: 3 }],
      ...{ records: 1, chain: 1 },
    });
  });

  describe('without a number', () => {
    const tell = (session: Session, name: string, json: string) => {
      if (session.commands === undefined) throw new Error('it takes no commands');
      return session.commands.tell(name, json);
    };

    it('are checked at once', async () => {
      const { session } = await started(moduleBench('replay'));
      const refusal = async (name: string, json: string): Promise<string> => {
        const error: unknown = await tell(session, name, json).catch((thrown: unknown) => thrown);
        return CabstandError.from(error).reason;
      };
      expect(await refusal('sing', '{}')).toBe('COMMAND_UNKNOWN');
      expect(await refusal('say', '{')).toBe('COMMAND_INVALID');
      expect(await refusal('say', '{"prompt":"too long"}')).toBe('COMMAND_INVALID');
      expect(await refusal('say', `{"prompt":"a"${' '.repeat(200)}}`)).toBe('COMMAND_INVALID');
      const told = [tell(session, 'say', '{"prompt":"a"}'), tell(session, 'say', '{"prompt":"a"}')];
      expect(await refusal('say', '{"prompt":"a"}')).toBe('RATE_LIMITED');
      session.abort({ reason: 'stopped' });
      for (const one of await Promise.allSettled(told)) expect(one.status).toBe('rejected');
    });

    it('are refused where their JSON nests too deep, or nobody knows so long a name', async () => {
      const { session } = await started(moduleBench('replay', {}, { commandBytes: 1_000_000 }));
      const deep = tell(session, 'say', '['.repeat(300_000) + ']'.repeat(300_000));
      await expect(deep).rejects.toMatchObject({
        reason: 'COMMAND_INVALID',
        metadata: {
          field: 'command.arguments',
          expected: expect.stringContaining('100') as unknown,
        },
      });
      const long: unknown = await tell(session, 'n'.repeat(1_000_000), '{}').catch(
        (e: unknown) => e,
      );
      expect(CabstandError.from(long).reason).toBe('COMMAND_UNKNOWN');
      expect(JSON.stringify(long).length).toBeLessThan(1000);
    });

    it('are applied beside those that have one, and answered in their order', async () => {
      const b = moduleBench('replay');
      const { session } = await started(b);
      const first = tell(session, 'say', '{"prompt":"a"}');
      const second = tell(session, 'say', '{"prompt":"a"}');
      session.commands?.take(say(0, 'b'));
      expect(b.host.model.last.commands.map(({ number }) => number)).toEqual([-1, -1, 0]);
      for (const n of [1, 2]) {
        give(b, applied(-1, 'a'));
        give(b, { result: { sequence: -1, value: String(n) } });
      }
      expect(await first).toEqual({ value: '1' });
      expect(await second).toEqual({ value: '2' });
      give(b, applied(0, 'b'));
      expect(session.commands?.next).toBe(1);
    });

    it('are told to the next engine until a record says that they took effect, which repeats it', async () => {
      const b = moduleBench('replay');
      const { session } = await started(b);
      const first = tell(session, 'say', '{"prompt":"a"}');
      const second = tell(session, 'say', '{"prompt":"b"}');
      give(b, applied(-1, 'a'), { point: 3 });
      die(b);
      const next = b.host.model.last;
      expect(next.commands.map(({ arguments: json }) => json)).toEqual(['{"prompt":"b"}']);
      expect(next.turns[0]?.again?.entries).toEqual([
        { kind: 'command', number: -1, name: 'say', arguments: '{"prompt":"a"}', point: 3 },
      ]);
      chainFrom(0);
      give(b, applied(-1, 'a'), { point: 3 });
      for (const [n, prompt] of ['a', 'b'].entries()) {
        if (prompt === 'b') give(b, applied(-1, 'b'));
        give(b, { result: { sequence: -1, value: String(n) } });
      }
      expect([await first, await second]).toEqual([{ value: '0' }, { value: '1' }]);
    });
  });

  it('that wait fail with the end of their session', async () => {
    const b = moduleBench('replay');
    const { session } = await started(b);
    session.commands?.take(say(0, 'a'));
    const outcome = session.commands?.outcome(0);
    session.abort({ reason: 'evicted' });
    await expect(outcome).rejects.toMatchObject({ reason: 'SESSION_EVICTED' });
    expect(reasonOf(() => session.commands?.take(say(1, 'b')))).toBe('SESSION_EVICTED');
  });

  it('that wait fail when the author came to his end, though a reader has records to acknowledge', async () => {
    const b = moduleBench('replay');
    const { session } = await started(b);
    b.host.model.last.step();
    session.commands?.take(say(0, 'a'));
    const waiting = [session.commands?.outcome(0), session.commands?.tell('say', '{"prompt":"b"}')];
    b.host.model.last.finish({ reason: 'completed', steps: 1 });
    expect(session.end).toBeUndefined();
    waiting.push(session.commands?.tell('say', '{"prompt":"c"}'), session.commands?.outcome(1));
    for (const outcome of waiting)
      await expect(outcome).rejects.toMatchObject({ reason: 'SESSION_ENDED' });
    // Its consumer, who reads of the end, may have sent another one.
    session.commands?.take(say(1, 'b'));
    session.acknowledge(1);
    expect(b.ends).toEqual([{ reason: 'completed' }]);
  });
});
