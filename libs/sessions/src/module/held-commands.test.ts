import { appliedBody, resultBody } from '@cabstand/engine';
import type { SessionTraits } from '@cabstand/model';
import type { SessionOptions } from '../options';
import { FakeReader } from '../readers.fixture';
import { attach, content, open, reasonOf } from '../session-bench.fixture';
import type { Bench } from '../session-bench.fixture';
import { Field } from './body';
import { die, moduleBench, say, snapshot, started } from './module-bench.fixture';

/** A module that commits: its engine holds the records of what it carries out until the next checkpoint. */
class Committing {
  readonly #b: Bench;
  readonly #value: string;
  #done = 0;
  #held: { readonly field: number; readonly body: Buffer }[] = [];
  #records = 0;

  constructor(b: Bench, value = '1') {
    this.#b = b;
    this.#value = value;
  }

  /** Commands that it was sent and did not carry out. */
  get waiting(): number {
    return this.#b.host.model.last.commands.length - this.#done;
  }

  get heldBytes(): number {
    return this.#held.reduce((sum, { body }) => sum + body.length, 0);
  }

  /** Carries out one. False where none waits. */
  one(): boolean {
    const { last } = this.#b.host.model;
    const command = last.commands[this.#done];
    if (command === undefined) return false;
    this.#done++;
    const { number, name, arguments: json } = command;
    const applied = appliedBody(number, name, json);
    const result = resultBody(number, { json: this.#value });
    this.#held.push({ field: Field.applied, body: applied });
    this.#held.push({ field: Field.result, body: result });
    last.sink.held(0, number, applied.length + result.length);
    return true;
  }

  /** Carries out what it was sent, and what it is sent then. Answers how many. */
  all(): number {
    let count = 0;
    while (this.one()) count++;
    return count;
  }

  checkpoint(): void {
    const held = this.#held;
    this.#held = [];
    this.#records += held.length;
    for (const [index, record] of held.entries())
      this.#b.host.model.last.sink.record(0, {
        ...{ ...record, point: 0, chain: 0, key: false },
        more: index < held.length - 1,
      });
    snapshot(this.#b, this.#records);
  }

  /** It goes on in the next engine. */
  dies(): void {
    this.#held = [];
    this.#done = 0;
    die(this.#b);
  }
}

/** Its commands have small arguments; the limits are those of hosters and manifests by default. */
function committing(options: SessionOptions = {}, traits: Partial<SessionTraits> = {}): Bench {
  return moduleBench('commit', options, { commandsWaiting: 64, resultBytes: 65_536, ...traits });
}

describe('an author who commits and checkpoints only every so many commands', () => {
  test.each([16, 40, 200])('is given %i of them before', async (every) => {
    for (const durable of [true, false]) {
      const b = committing();
      const { session, reader } = await started(b, durable);
      const { commands } = session;
      const engine = new Committing(b);
      for (let round = 0; round < 3; round++) {
        for (let n = 0; n < every; n++) {
          expect(session.inputRoom('command')).toBeUndefined();
          commands?.take(say(commands.next, 'a'));
          engine.all();
        }
        expect(commands?.next).toBe((round + 1) * every);
        expect(reader.entries).toHaveLength(round * every * 2);
        engine.checkpoint();
        expect(reader.entries).toHaveLength((round + 1) * every * 2);
        session.acknowledge(session.position - 1);
      }
    }
  });

  it('of somebody else, too', async () => {
    const b = committing();
    const { session } = await started(b);
    const engine = new Committing(b);
    const outcomes: Promise<unknown>[] = [];
    for (let n = 0; n < 200; n++) {
      const outcome = session.commands?.tell('say', '{"prompt":"b"}');
      if (outcome !== undefined) outcomes.push(outcome);
      engine.all();
    }
    engine.checkpoint();
    expect(await Promise.all(outcomes)).toHaveLength(200);
  });

  it('and that come all at once, with no more under way than have room', async () => {
    const b = committing();
    const { session } = await started(b);
    for (let n = 0; n < 64; n++) session.commands?.take(say(n, 'a'));
    const engine = new Committing(b);
    expect(engine.waiting).toBe(15);
    expect(engine.all()).toBe(64);
  });
});

describe('what an engine holds of commands', () => {
  const large = JSON.stringify('x'.repeat(8000));

  it('counts by its bytes: large results leave room for one that is under way at a time', async () => {
    const b = committing({ journalCommandBytes: 40_000 }, { resultBytes: 9000 });
    const { session } = await started(b);
    const engine = new Committing(b, large);
    for (let n = 0; n < 30; n++) session.commands?.take(say(n, 'a'));
    expect(engine.waiting).toBe(3);
    let most = 0;
    for (let carriedOut = 0; carriedOut < 30; carriedOut++) {
      most = Math.max(most, engine.heldBytes > 40_000 - 10_100 ? engine.waiting : 0);
      expect(engine.one()).toBe(true);
    }
    expect(most).toBe(1);
  });

  it('is released by the checkpoint, and what the reader has of it by his acknowledgement', async () => {
    const b = committing(
      { journalBytes: 20_000, journalCommandBytes: 40_000 },
      { resultBytes: 9000 },
    );
    const session = await open(b);
    attach(session, undefined, new FakeReader());
    session.startTurn(0, content());
    const engine = new Committing(b, large);
    for (let n = 0; n < 12; n++) session.commands?.take(say(n, 'a'));
    expect(engine.all()).toBe(12);
    engine.checkpoint();
    session.commands?.take(say(12, 'a'));
    // The journal and the room of commands are full: now it is the reader who is waited for.
    expect(session.journal.bytes).toBeGreaterThan(90_000);
    expect([engine.waiting, session.commands?.waitsForReader]).toEqual([0, true]);
    session.acknowledge(session.position - 1);
    for (let n = 13; n < 20; n++) session.commands?.take(say(n, 'a'));
    expect(engine.waiting).toBe(3);
  });

  it('is gone with it: the next one is told of all once more, as far as there is room', async () => {
    const b = committing({ journalCommands: 8 });
    const { session, reader } = await started(b);
    const engine = new Committing(b);
    for (let n = 0; n < 8; n++) session.commands?.take(say(n, 'a'));
    engine.all();
    engine.checkpoint();
    for (let deaths = 0; deaths < 3; deaths++) {
      for (let n = 0; n < 5; n++) session.commands?.take(say(session.commands.next, 'a'));
      engine.all();
      engine.dies();
      expect(engine.waiting).toBe(Math.min(8, 5 * (deaths + 1)));
    }
    engine.all();
    engine.checkpoint();
    const sent = reader.entries.length;
    expect(sent).toBe(2 * (8 + 15));
    expect(reasonOf(() => session.commands?.take(say(23, 'a')))).toBe('nothing thrown');
    expect(engine.waiting).toBe(1);
  });
});
