import fc from 'fast-check';
import { CabstandError, FakeClock } from '@cabstand/core';
import { DurableClient } from './durable-client.fixture';
import type { Script } from './durable-client.fixture';
import { StatefulHost, testSealer } from '@cabstand/testing';
import { Sessions } from './sessions';

const HOSTERS = 3;
const CLIENTS = 2;

type Op =
  | { readonly op: 'run' | 'read'; readonly count: number; readonly who: number }
  | { readonly op: 'turn'; readonly who: number; readonly script: Script }
  | { readonly op: 'ack'; readonly who: number; readonly count: number }
  | { readonly op: 'lose' | 'attach' | 'handOver' | 'stop'; readonly who: number }
  | { readonly op: 'crash' | 'restart' | 'restartHoster'; readonly where: number }
  | { readonly op: 'resume'; readonly who: number; readonly where: number };

const who = fc.nat({ max: CLIENTS - 1 });
const where = fc.nat({ max: HOSTERS - 1 });
const script: fc.Arbitrary<Script> = fc.oneof(
  fc.nat({ max: 12 }),
  fc.array(fc.nat({ max: 200 }), { minLength: 1, maxLength: 10 }),
);
const ops: fc.Arbitrary<Op> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      op: fc.constantFrom('run' as const, 'read' as const),
      count: fc.integer({ min: 1, max: 6 }),
      who,
    }),
  },
  { weight: 4, arbitrary: fc.record({ op: fc.constant('turn' as const), who, script }) },
  {
    weight: 3,
    arbitrary: fc.record({ op: fc.constant('ack' as const), who, count: fc.nat({ max: 3 }) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ op: fc.constantFrom('lose', 'attach', 'handOver', 'stop'), who }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ op: fc.constantFrom('crash', 'restart', 'restartHoster'), where }),
  },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('resume' as const), who, where }) },
);

class World {
  readonly clock = new FakeClock();
  readonly sealer = testSealer();
  readonly hosts = Array.from({ length: HOSTERS }, () => new StatefulHost());
  readonly hosters = this.hosts.map((host) => this.#sessions(host));
  readonly clients = Array.from({ length: CLIENTS }, (_, i) => new DurableClient(`s${i}`));

  async play(steps: readonly Op[]): Promise<void> {
    for (const client of this.clients) await client.open(this.#hoster(0));
    for (const step of steps) {
      try {
        await this.#do(step);
      } catch (error) {
        // What a consumer may be told: nothing of it costs a record.
        expect(TOLD).toContain(CabstandError.from(error).reason);
      }
      for (const client of this.clients) client.collect();
    }
    await this.#finish();
  }

  async #do(step: Op): Promise<void> {
    const client = 'who' in step ? this.clients[step.who] : undefined;
    if (client !== undefined)
      switch (step.op) {
        case 'read':
          client.read(step.count);
          return;
        case 'ack':
          client.acknowledge(step.count);
          return;
        case 'turn':
          if (client.turnOver && !client.poisoned) client.startTurn(step.script);
          return;
        case 'lose':
          client.lose();
          return;
        case 'stop':
          client.stop();
          return;
        case 'attach':
          client.attach();
          return;
        case 'resume':
          await client.resume(this.#hoster(step.where));
          return;
        case 'handOver': {
          const moved = client.session?.handOver();
          for (const { model } of this.hosts) model.run(3);
          await moved;
          return;
        }
        case 'run':
          for (const { model } of this.hosts) model.run(step.count);
          return;
        case 'crash':
        case 'restart':
        case 'restartHoster':
      }
    if (!('where' in step)) return;
    const { model } = this.hosts[step.where] as StatefulHost;
    if (step.op === 'crash' && model.status.state === 'ready') {
      for (const client of this.clients)
        if (client.at === this.#hoster(step.where)) client.deaths++;
      model.crash();
    }
    if (step.op === 'restart') model.restart();
    if (step.op === 'restartHoster') {
      for (const session of [...this.#hoster(step.where).all()]) session.abort({ reason: 'lost' });
      const host = new StatefulHost();
      this.hosts[step.where] = host;
      this.hosters[step.where] = this.#sessions(host);
    }
    await Promise.resolve();
  }

  /** Whatever happened: every stream can be finished, and is the right one. */
  async #finish(): Promise<void> {
    for (const { model } of this.hosts) model.restart();
    for (const client of this.clients) {
      for (let i = 0; i < 200 && !client.turnOver && !client.poisoned; i++) {
        if (client.reader?.gone !== undefined || client.session?.state !== 'streaming') {
          try {
            await client.resume(this.#hoster(i % HOSTERS));
          } catch (error) {
            expect(TOLD).toContain(CabstandError.from(error).reason);
          }
        }
        client.send();
        for (const { model } of this.hosts) model.run(4);
        client.read(5);
        client.acknowledge(0);
      }
      if (client.poisoned) expect(client.deaths).toBeGreaterThan(1);
      expect(client.delivered).toEqual(client.expected().slice(0, client.next));
      this.#checkStops(client);
      expect(client.poisoned || client.next === client.expected().length).toBe(true);
    }
    for (const sessions of this.hosters) {
      for (const session of [...sessions.all()]) session.abort({ reason: 'stopped' });
      expect([sessions.size, sessions.principals]).toEqual([0, 0]);
    }
    expect(this.hosts.map(({ model }) => model.openSequences)).toEqual(Array(HOSTERS).fill(0));
    expect(this.clock.pending).toBe(0);
  }

  /** Each stop was answered in its turn, or came after the end of it; nothing else was stopped. */
  #checkStops({ stops, late, stopped, answered, poisoned, turn }: DurableClient): void {
    for (const one of stopped) expect(stops).toContain(one);
    for (const one of answered) expect(stops).toContain(one);
    for (const one of stops)
      expect(answered.has(one) || late.has(one) || (poisoned && one === turn)).toBe(true);
  }

  #sessions(host: StatefulHost): Sessions {
    return new Sessions({
      host,
      clock: this.clock,
      sealer: this.sealer,
      options: { journalRecords: 6, journalBytes: 4000, snapshotRecords: 3, liveParts: 12 },
    });
  }

  #hoster(index: number): Sessions {
    return this.hosters[index] as Sessions;
  }
}

/** Refusals that a consumer meets who does the wrong thing at the time, or where it no longer is. */
const TOLD = [
  'SESSION_ENDED',
  'SESSION_EVICTED',
  'SESSION_LOST',
  'EPOCH_FENCED',
  'MODEL_LOADING',
  'ENGINE_CRASHED',
  'TURN_POISONED',
  'LIMIT_EXCEEDED',
];

/** The reader is away while the session is handed over: it ends as soon as somebody reads. */
const LEFT_UNREAD: Op[] = [
  { op: 'turn', who: 0, script: [0, 0, 0] },
  { op: 'run', count: 2, who: 0 },
  { op: 'lose', who: 0 },
  { op: 'handOver', who: 0 },
];

/** The engine dies when it has used up the last part and a snapshot was asked for. */
const LAST_PART: Op[] = [
  { op: 'turn', who: 0, script: [0, 0, 0] },
  { op: 'run', count: 4, who: 0 },
  { op: 'crash', where: 0 },
];

/** One turn is there when two engines die, alone, at the same position: it is taken for the cause. */
const POISONED: Op[] = [
  { op: 'turn', who: 1, script: 3 },
  { op: 'crash', where: 0 },
  { op: 'handOver', who: 1 },
  { op: 'resume', who: 1, where: 2 },
  { op: 'crash', where: 2 },
];

/** The hoster dies when its reader has a part of the records that a stop makes. */
const HALF_STOPPED: Op[] = [
  { op: 'turn', who: 0, script: 5 },
  { op: 'run', count: 2, who: 0 },
  { op: 'stop', who: 0 },
  { op: 'run', count: 1, who: 0 },
  { op: 'restartHoster', where: 0 },
];

describe('durable sessions, whatever dies', () => {
  it('are delivered once, in order, and as an undisturbed engine would have made them', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(ops, { maxLength: 80 }), async (steps) => {
        await new World().play(steps);
      }),
      { numRuns: 500, examples: [[LEFT_UNREAD], [LAST_PART], [POISONED], [HALF_STOPPED]] },
    );
  });
});
