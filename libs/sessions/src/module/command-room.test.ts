import fc from 'fast-check';
import { CabstandError } from '@cabstand/core';
import { FakeReader } from '../readers.fixture';
import { attach, content, open, reasonOf } from '../session-bench.fixture';
import type { Bench } from '../session-bench.fixture';
import type { Session } from '../session';
import { applied, chunk, die, give, moduleBench, say, started } from './module-bench.fixture';

const OPTIONS = { journalRecords: 8, journalCommands: 2, journalCommandBytes: 100_000 };
/** What `OPTIONS` let be kept: two records a command beside the journal. */
const MOST_RECORDS = 8 + 2 * 2;

/** An engine that carries out what it was sent, whatever credit it has. */
class Handy {
  readonly #b: Bench;
  #done = 0;

  constructor(b: Bench) {
    this.#b = b;
  }

  /** Commands that the engine was sent and did not carry out. */
  get waiting(): number {
    return this.#b.host.model.last.commands.length - this.#done;
  }

  /** Carries out one. False where none waits. */
  one(value = '1'): boolean {
    const command = this.#b.host.model.last.commands[this.#done];
    if (command === undefined) return false;
    this.#done++;
    const { number: sequence, name, arguments: json } = command;
    give(this.#b, { applied: { sequence, name, arguments: json } });
    give(this.#b, { result: { sequence, value } });
    return true;
  }

  all(value?: string): void {
    while (this.one(value));
  }
}

/** Sends commands as a stream does: the next one is read when there is room. Answers how many were taken. */
async function flood(b: Bench, session: Session, most: number, engine: Handy): Promise<number> {
  for (let sent = 0; sent < most; sent++) {
    let room = session.inputRoom('command') === undefined;
    for (let tries = 0; !room && tries < 3; tries++) {
      engine.all();
      await b.clock.advance(0);
      room = session.inputRoom('command') === undefined;
    }
    if (!room) return sent;
    session.commands?.take(say(session.commands.next, 'a'));
    engine.all();
  }
  return most;
}

describe('commands and the room of the journal', () => {
  it('a sender who acknowledges nothing is refused at the same command, whatever his connection takes', async () => {
    for (const takes of [0, 3, 1000]) {
      const b = moduleBench('replay', OPTIONS);
      const session = await open(b);
      attach(session, undefined, new FakeReader(takes));
      session.startTurn(0, content());
      const engine = new Handy(b);
      await expect(flood(b, session, 1000, engine)).rejects.toMatchObject({
        reason: 'RATE_LIMITED',
      });
      // Six were carried out, and 64 more read.
      expect(session.commands?.next).toBe(MOST_RECORDS / 2 + 64);
      expect(session.journal.records).toBeLessThanOrEqual(MOST_RECORDS);
      expect(engine.waiting).toBe(0);
      session.abort({ reason: 'stopped' });
    }
  });

  it('of any survival, with a number or without, durable or not', async () => {
    for (const survival of ['none', 'replay', 'commit'] as const)
      for (const durable of [true, false]) {
        const b = moduleBench(survival, OPTIONS);
        const session = await open(b, { retention: durable ? 'durable' : 'call' });
        attach(session, undefined, new FakeReader(1));
        session.startTurn(0, content());
        const engine = new Handy(b);
        for (let n = 0; n < 50; n++) {
          session.commands?.tell('say', '{"prompt":"a"}').catch(() => undefined);
          engine.all();
        }
        await flood(b, session, 60, engine);
        expect(session.journal.records).toBeLessThanOrEqual(MOST_RECORDS);
        session.abort({ reason: 'stopped' });
      }
  });

  it('an author who waits for his reader in emit is still told, as far as their own room goes', async () => {
    const b = moduleBench('replay', OPTIONS);
    const session = await open(b);
    attach(session, undefined, new FakeReader(0));
    session.startTurn(0, content());
    for (let n = 0; n < 8; n++) give(b, chunk('x'));
    expect(session.credit.records).toBe(0);
    const engine = new Handy(b);
    session.commands?.take(say(0, 'a'));
    session.commands?.take(say(1, 'b'));
    expect(engine.waiting).toBe(2);
    engine.all();
    session.commands?.take(say(2, 'c'));
    expect(engine.waiting).toBe(0);
    session.acknowledge(1);
    expect(engine.waiting).toBe(1);
  });

  it('a stop needs none of it', async () => {
    const b = moduleBench('replay', OPTIONS);
    const session = await open(b);
    attach(session, undefined, new FakeReader(0));
    session.startTurn(0, content());
    await flood(b, session, 60, new Handy(b));
    void session.stopCommand.outcome(0).catch(() => undefined);
    expect(b.host.model.last.stopped).toBe('stopped');
  });

  it('bytes count: results that may be large are not asked for beyond it', async () => {
    const b = moduleBench(
      'replay',
      { journalBytes: 10_000, journalCommandBytes: 21_000 },
      { resultBytes: 9000, commandsWaiting: 64 },
    );
    const session = await open(b);
    attach(session, undefined, new FakeReader(0));
    session.startTurn(0, content());
    for (let n = 0; n < 20; n++) session.commands?.take(say(n, 'a'));
    const engine = new Handy(b);
    // Each may bring 9,000 bytes: two of them fit beside a journal that chunks may fill.
    expect(engine.waiting).toBe(2);
    engine.all(JSON.stringify('x'.repeat(8000)));
    expect(session.journal.bytes).toBeLessThanOrEqual(31_000);
    expect(session.journal.bytes).toBeGreaterThan(20_000);
  });

  it('one alone is let through, however large its result may be', async () => {
    const b = moduleBench('replay', { journalBytes: 1000, journalCommandBytes: 1 });
    const { session } = await started(b);
    session.commands?.take(say(0, 'a'));
    session.commands?.take(say(1, 'a'));
    expect(new Handy(b).waiting).toBe(1);
  });

  it('what only acknowledgements free is read on, and then refused with when to try again', async () => {
    const b = moduleBench('replay', OPTIONS);
    // It reads all and acknowledges none.
    const { session } = await started(b);
    const engine = new Handy(b);
    const { commands } = session;
    if (commands === undefined) throw new Error('it takes no commands');
    const refusal = await flood(b, session, 1000, engine).catch((error: unknown) =>
      CabstandError.from(error),
    );
    expect(refusal).toMatchObject({
      reason: 'RATE_LIMITED',
      metadata: { limited_by: 'commands_waiting', expected: 'at most 64' },
    });
    expect((refusal as CabstandError).retryAfterMs).toBeGreaterThan(0);
    expect(session.journal.records).toBeLessThanOrEqual(MOST_RECORDS);
    // It was not taken, and comes again once there is room.
    session.acknowledge(session.position - 1);
    engine.all();
    expect(reasonOf(() => commands.take(say(commands.next, 'a')))).toBe('nothing thrown');
  });

  it('an engine that died leaves no room taken', async () => {
    const b = moduleBench('replay', OPTIONS, { commandsWaiting: 64 });
    const { session } = await started(b);
    for (let n = 0; n < 8; n++) session.commands?.take(say(n, 'a'));
    const sent = b.host.model.last.commands.length;
    give(b, applied(0, 'a'));
    for (let deaths = 0; deaths < 3; deaths++) die(b);
    expect(b.host.model.last.commands.length).toBeGreaterThanOrEqual(sent - 1);
  });

  it('is never given twice: as credit, and to commands that wait when an engine takes the session up', async () => {
    const b = moduleBench('replay', OPTIONS, { commandsWaiting: 64 });
    const { session } = await started(b);
    for (let n = 0; n < 20; n++) session.commands?.take(say(n, 'a'));
    const promised = (): number =>
      session.journal.records + session.credit.records + 2 * b.host.model.last.commands.length;
    expect(promised()).toBe(MOST_RECORDS);
    for (let deaths = 0; deaths < 3; deaths++) {
      die(b);
      expect(promised()).toBe(MOST_RECORDS);
    }
  });

  it('a reader that acknowledges gets the result of each, whatever the limits (property)', async () => {
    const limits = fc.record({
      journalRecords: fc.integer({ min: 1, max: 20 }),
      journalBytes: fc.integer({ min: 1, max: 5000 }),
      journalCommands: fc.integer({ min: 1, max: 8 }),
      journalCommandBytes: fc.integer({ min: 1, max: 5000 }),
    });
    const survival = fc.constantFrom('none' as const, 'replay' as const);
    await fc.assert(
      fc.asyncProperty(limits, survival, fc.nat(2000), async (options, how, size) => {
        const b = moduleBench(how, options, { resultBytes: 2000 });
        const { session, reader } = await started(b);
        const engine = new Handy(b);
        const value = JSON.stringify('x'.repeat(Math.max(0, size - 2)));
        for (let n = 0; n < 40; n++) {
          session.commands?.take(say(n, 'a'));
          engine.all(value);
          // As late as may be: where nothing else can come.
          if (engine.waiting === 0 && session.commands?.next !== session.commands?.applied)
            session.acknowledge(session.position - 1);
          engine.all(value);
        }
        session.acknowledge(session.position - 1);
        engine.all(value);
        expect(reader.entries).toHaveLength(80);
        session.abort({ reason: 'stopped' });
      }),
      { numRuns: 50 },
    );
  });
});

test('parts of live input wait, too, where their records wait for the reader of a module', async () => {
  const b = moduleBench('replay', { journalRecords: 4, liveParts: 8 });
  b.host.model.signature = { ...b.host.model.signature, takesAnything: true };
  const session = await open(b);
  const reader = attach(session);
  session.startTurn(0, content('', true));
  const engine = b.host.model.last;
  let sent = 0;
  let given = 0;
  // A loop that takes part after part, and makes nothing else of them.
  const take = (): void => {
    while (given < engine.inputs.length) give(b, { input: { part: given++ } });
  };
  const send = (): void => {
    while (sent < 100 && reasonOf(() => session.input(0, sent, [], false)) === 'nothing thrown') {
      sent++;
      take();
    }
  };
  send();
  expect(session.journal.records).toBe(5);
  expect(sent).toBe(13);
  // Its reader acknowledges, and gets on.
  while (reader.entries.length < 100) {
    session.acknowledge(session.position - 1);
    take();
    const counts = { records: given, steps: 0, partsTaken: given };
    engine.sink.snapshot(0, { ...counts, data: Buffer.alloc(0), ended: false });
    send();
  }
  expect(reader.entries).toHaveLength(100);
});

describe('where records hold more than the engine pays for', () => {
  /** Its journal holds a checkpoint larger than all of it, and the engine has credit left. */
  async function heavy(live: boolean): Promise<{ b: Bench; session: Session; reader: FakeReader }> {
    const b = moduleBench('commit', { journalBytes: 1000, journalCommandBytes: 1000 });
    b.host.model.signature = { ...b.host.model.signature, takesAnything: true };
    const session = await open(b);
    const reader = attach(session);
    session.startTurn(0, content('', live));
    give(b, chunk(''));
    const data = Buffer.alloc(5000);
    const snapshot = { data, records: 1, steps: 1, partsTaken: 0, ended: false };
    b.host.model.last.sink.snapshot(0, snapshot);
    expect([session.journal.bytes > 5000, session.credit.bytes > 0]).toEqual([true, true]);
    return { b, session, reader };
  }

  const asked = ({ notices }: FakeReader): number =>
    notices.filter(({ kind }) => kind === 'ack_wanted').length;

  it('a reader is asked to acknowledge as a command waits for that', async () => {
    const { b, session, reader } = await heavy(false);
    session.commands?.take(say(0, 'a'));
    const beside = session.commands?.tell('say', '{"prompt":"b"}').catch(() => undefined);
    expect(b.host.model.last.commands).toEqual([]);
    session.tellProgress();
    expect(asked(reader)).toBe(1);
    session.acknowledge(0);
    expect(b.host.model.last.commands).not.toEqual([]);
    session.abort({ reason: 'stopped' });
    await beside;
  });

  it('a reader is asked to acknowledge as live input waits for that, and his acks are read', async () => {
    const { b, session, reader } = await heavy(true);
    for (let part = 0; session.inputRoom() === undefined && part < 2; part++)
      session.input(0, part, [], false);
    expect(b.host.model.last.inputs).toEqual([]);
    session.tellProgress();
    expect(asked(reader)).toBe(1);
    expect(session.inputRoom()).toBeUndefined();
    session.acknowledge(0);
    expect(b.host.model.last.inputs).not.toEqual([]);
  });
});
