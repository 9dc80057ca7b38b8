import { CabstandError, FakeClock } from '@cabstand/core';
import { float32Of, tensorOf } from '@cabstand/tensor';
import fc from 'fast-check';
import { MockProtocol } from '@cabstand/testing';
import type { MockFailure, MockModule } from '@cabstand/testing';
import { RemoteManager } from '../remote/manager';
import { SessionManager } from './manager';

const HOSTERS = ['mock-1:1', 'mock-2:1', 'mock-3:1'];

interface Plan {
  readonly survival: 'replay' | 'commit';
  readonly checkpointEvery: number;
  readonly ackEvery: number;
  /** What the application does, one after another; after `pause` turns of the event loop. */
  readonly deeds: readonly { readonly kind: 'part' | 'command'; readonly pause: number }[];
  readonly failures: readonly MockFailure[];
  /** What happens to a hoster after so many records that the application got. */
  readonly events: readonly {
    readonly at: number;
    readonly hoster: number;
    readonly kind: 'crash' | 'drain';
    readonly downMs: number;
  }[];
}

const failure: fc.Arbitrary<MockFailure> = fc
  .record({
    kind: fc.constantFrom(
      'die' as const,
      'disconnect' as const,
      'gap' as const,
      'cut' as const,
      'repeat' as const,
      'error' as const,
    ),
    after: fc.nat(20),
    error: fc.constantFrom(
      'ENGINE_CRASHED' as const,
      'OUT_OF_MEMORY' as const,
      'SESSION_EVICTED' as const,
    ),
  })
  .map(({ kind, after, error }) => ({ kind, after, ...(kind === 'error' ? { error } : {}) }));

const plan: fc.Arbitrary<Plan> = fc.record({
  survival: fc.constantFrom('replay' as const, 'commit' as const),
  checkpointEvery: fc.constantFrom(1, 2, 5),
  ackEvery: fc.constantFrom(1, 5),
  deeds: fc.array(
    fc.record({ kind: fc.constantFrom('part' as const, 'command' as const), pause: fc.nat(6) }),
    { minLength: 1, maxLength: 30 },
  ),
  failures: fc.array(failure, { maxLength: 6 }),
  events: fc.array(
    fc.record({
      at: fc.nat(40),
      hoster: fc.nat(2),
      kind: fc.constantFrom('crash' as const, 'drain' as const),
      downMs: fc.integer({ min: 0, max: 8_000 }),
    }),
    { maxLength: 3 },
  ),
});

/** Numbers whatever it is given, and makes some noise, by chance. */
function counting(survival: Plan['survival'], checkpointEvery: number) {
  return async (module: MockModule): Promise<void> => {
    for (let given = await module.next(); given !== undefined; given = await module.next()) {
      const count = Number(module.state['count'] ?? 0);
      module.state['count'] = count + 1;
      const chance = (): number => Math.floor(Math.random() * 3);
      // Who survives by commit runs nothing twice, and may do something else each time.
      const noise = survival === 'commit' ? chance() : Number(await module.record('noise', chance));
      for (let i = 0; i < noise; i++) await module.emit({ text: 'noise' });
      if (given.kind === 'part') {
        const value = float32Of(given.tensors[0]!)[0] ?? NaN;
        await module.emit({ tensors: [tensorOf('x', new Float32Array([value, count]))] });
      } else {
        await module.send('told', { argument: given.arguments, count });
        await given.answer({ argument: given.arguments, count });
      }
      // Nothing leaves without one there, and the application waits for results.
      if (survival === 'commit' || (count + 1) % checkpointEvery === 0) await module.checkpoint();
    }
  };
}

class Run {
  readonly clock = new FakeClock();
  readonly mock: MockProtocol;
  /** What the application got, in order. */
  readonly seen: { readonly what: string; readonly count: number }[] = [];
  readonly results: unknown[] = [];
  recovered = 0;
  error: CabstandError | undefined;
  #records = 0;

  constructor(readonly plan: Plan) {
    const { survival, checkpointEvery, ackEvery } = plan;
    this.mock = new MockProtocol({
      hosters: HOSTERS,
      ackEvery,
      clock: this.clock,
      module: { survival, commands: ['tell'], run: counting(survival, checkpointEvery) },
    });
    for (const one of plan.failures) this.mock.fail(one);
  }

  async #work(): Promise<void> {
    const { clock, mock } = this;
    const random = (): number => 0.5;
    await using remote = new RemoteManager({ hosters: mock.hosters, clock, random });
    await using sessions = new SessionManager(remote, {
      ...{ protocol: mock, clock, random, retry: { attempts: 20 } },
      timeouts: { recoverMs: 60_000, placeMs: 60_000 },
    });
    const session = sessions.session({ model: 'm' });
    session.on('recovered', () => this.recovered++);
    session.on('message', ({ message }) => {
      const { argument, count } = message as { argument: number; count: number };
      this.seen.push({ what: `command ${argument}`, count });
      this.#happen();
    });
    const live = session.live({ maxPartsInFlight: 4 });
    const doing = this.#do(
      (value) => live.write({ x: new Float32Array([value]) }),
      (value) => session.command('tell', value),
    ).then(() => live.end());
    doing.catch(() => undefined);
    for await (const chunk of live) {
      if (chunk.tensors.length > 0) {
        const [value, count = NaN] = float32Of(chunk.tensor('x'));
        this.seen.push({ what: `part ${value}`, count });
      }
      this.#happen();
    }
    await doing;
  }

  async #do(
    write: (value: number) => Promise<void>,
    command: (value: number) => Promise<unknown>,
  ): Promise<void> {
    const waiting: Promise<unknown>[] = [];
    for (const [index, { kind, pause }] of this.plan.deeds.entries()) {
      for (let i = 0; i < pause; i++) await new Promise((resolve) => setImmediate(resolve));
      if (kind === 'part') await write(index);
      else {
        const result = command(index).then((value) => this.results.push(value));
        result.catch(() => undefined);
        waiting.push(result);
      }
    }
    await Promise.all(waiting);
  }

  #happen(): void {
    this.#records++;
    for (const event of this.plan.events) {
      const hoster = HOSTERS[event.hoster];
      if (event.at !== this.#records || hoster === undefined) continue;
      if (event.kind === 'drain') this.mock.drain(hoster, 5_000);
      else this.mock.stop(hoster);
      this.clock.setTimer(() => this.mock.start(hoster), event.downMs);
    }
  }

  /** Runs it to its end in time of its own. */
  async go(): Promise<void> {
    let over = false;
    const work = this.#work()
      .catch((error: unknown) => {
        this.error = CabstandError.from(error);
      })
      .finally(() => (over = true));
    for (let i = 0; !over; i++) {
      await new Promise((resolve) => setImmediate(resolve));
      await this.clock.advance(i % 20 === 19 ? 250 : 5);
      if (i > 20_000) throw new Error('it hangs');
    }
    await work;
  }
}

test('whatever fails and when, all that a module is told takes effect once, and is heard of once, in order', async () => {
  let recovered = 0;
  let whole = 0;
  await fc.assert(
    fc.asyncProperty(plan, async (given) => {
      const run = new Run(given);
      await run.go();
      // Nothing twice, nothing left out, across chunks and messages.
      expect(run.seen.map(({ count }) => count)).toEqual(run.seen.map((_, i) => i));
      const order = (kind: string): number[] =>
        run.seen.flatMap(({ what }) => (what.startsWith(kind) ? [Number(what.split(' ')[1])] : []));
      for (const kind of ['part', 'command'] as const) {
        const told = given.deeds.flatMap((deed, index) => (deed.kind === kind ? [index] : []));
        if (run.error === undefined) expect(order(kind)).toEqual(told);
        else expect(order(kind)).toEqual(told.slice(0, order(kind).length));
      }
      recovered += run.recovered;
      // Two engines that die at one place are its caller's to know.
      if (run.error !== undefined) expect(run.error.reason).toBe('TURN_POISONED');
      else {
        whole++;
        const messages = run.seen.flatMap(({ what, count }) =>
          what.startsWith('command') ? [{ argument: Number(what.split(' ')[1]), count }] : [],
        );
        expect(run.results).toEqual(messages);
      }
    }),
    { numRuns: 250 },
  );
  // A property that holds because nothing happens says nothing.
  expect(recovered).toBeGreaterThan(100);
  expect(whole).toBeGreaterThan(100);
}, 120_000);
