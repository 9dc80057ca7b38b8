import { CabstandError, FakeClock } from '@cabstand/core';
import { float32Of } from '@cabstand/tensor';
import fc from 'fast-check';
import { MockProtocol } from '@cabstand/testing';
import type { MockFailure } from '@cabstand/testing';
import { RemoteManager } from '../remote/manager';
import type { Chunk } from './chunk';
import { SessionManager } from './manager';
import type { Session } from './session';

const HOSTERS = ['mock-1:1', 'mock-2:1', 'mock-3:1'];

/** What happens to a hoster after so many chunks that the application got. */
interface Event {
  readonly at: number;
  readonly hoster: number;
  readonly kind: 'crash' | 'drain';
  readonly downMs: number;
}

interface Plan {
  readonly hosters: number;
  readonly checkpointEvery: number;
  readonly ackEvery: number;
  readonly turns: readonly { readonly live: boolean; readonly chunks: number }[];
  readonly failures: readonly MockFailure[];
  readonly events: readonly Event[];
  /** Take the session to another process before this turn, or within it. */
  readonly move: { readonly turn: number; readonly within: boolean } | undefined;
}

const kinds = [
  ...(['die', 'disconnect', 'stall', 'gap', 'cut', 'repeat', 'refuse', 'error'] as const),
  'fence' as const,
];
const errors = ['ENGINE_CRASHED', 'OUT_OF_MEMORY', 'SESSION_EVICTED', 'NODE_STALLED'] as const;
const refusals = ['HOSTER_FULL', 'DRAINING', 'MODEL_LOADING'] as const;

const failure: fc.Arbitrary<MockFailure> = fc
  .record({
    kind: fc.constantFrom(...kinds),
    after: fc.nat(12),
    hoster: fc.option(fc.constantFrom(...HOSTERS), { nil: undefined }),
    error: fc.constantFrom(...errors),
    refusal: fc.constantFrom(...refusals),
  })
  .map(({ kind, after, hoster, error, refusal }) => ({
    kind,
    after,
    ...(hoster === undefined ? {} : { hoster }),
    ...(kind === 'error' ? { error } : kind === 'refuse' ? { error: refusal } : {}),
  }));

const plan: fc.Arbitrary<Plan> = fc.record({
  hosters: fc.integer({ min: 1, max: 3 }),
  checkpointEvery: fc.constantFrom(0, 1, 3, 7),
  ackEvery: fc.constantFrom(0, 1, 5),
  turns: fc.array(fc.record({ live: fc.boolean(), chunks: fc.nat(20) }), {
    minLength: 1,
    maxLength: 4,
  }),
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
  move: fc.option(fc.record({ turn: fc.nat(3), within: fc.boolean() }), { nil: undefined }),
});

const valueOf = (turn: number, index: number): number => turn * 1_000 + index;

class Run {
  readonly clock = new FakeClock();
  readonly mock: MockProtocol;
  readonly positions: number[] = [];
  recovered = 0;
  readonly errors: CabstandError[] = [];
  #session: Session | undefined;
  readonly #managers: (SessionManager | RemoteManager)[] = [];

  constructor(readonly plan: Plan) {
    const { hosters, checkpointEvery, ackEvery } = plan;
    this.mock = new MockProtocol({
      hosters: HOSTERS.slice(0, hosters),
      checkpointEvery,
      ackEvery,
    });
    for (const one of plan.failures) this.mock.fail(one);
  }

  manager(): SessionManager {
    const { clock, mock } = this;
    const random = (): number => 0.5;
    const remote = new RemoteManager({ hosters: mock.hosters, clock, random });
    const timeouts = { recoverMs: 60_000, placeMs: 60_000 };
    const sessions = new SessionManager(remote, {
      protocol: mock,
      clock,
      random,
      timeouts,
      retry: { attempts: 20 },
    });
    this.#managers.push(sessions, remote);
    return sessions;
  }

  async work(): Promise<void> {
    let session = this.manager().session({ model: 'm' });
    this.#session = session;
    session.on('recovered', () => this.recovered++);
    for (const [index, { live, chunks }] of this.plan.turns.entries()) {
      const { move } = this.plan;
      const moves = move?.turn === index;
      if (moves && !move.within && session.state !== 'idle') session = await this.#move(session);
      const stopAt = moves && move.within && !live ? Math.ceil(chunks / 2) : undefined;
      const turn = live ? this.#live(session, index, chunks) : this.#plain(session, index, chunks);
      const seen = await this.#read(index, turn, stopAt);
      if (stopAt === undefined || seen === undefined || session.state === 'idle') continue;
      session = await this.#move(session);
      await this.#read(index, session.continueTurn(), undefined, seen);
    }
    await session.close();
  }

  /** Reads a turn; undefined where it came to its end. */
  async #read(
    turn: number,
    chunks: AsyncIterableIterator<Chunk>,
    stopAt: number | undefined,
    from = 0,
  ): Promise<number | undefined> {
    let index = from;
    for (;;) {
      const step = await chunks.next();
      if (step.done === true) break;
      const chunk = step.value;
      this.positions.push(chunk.position);
      const value = chunk.tensors.length > 0 ? float32Of(chunk.tensor('x'))[0] : Number(chunk.text);
      if (chunk.turn !== turn || value !== valueOf(turn, index))
        throw new Error(`turn ${chunk.turn}: ${String(value)} is not ${valueOf(turn, index)}`);
      index++;
      this.#happen(this.positions.length);
      if (index === stopAt) return index;
    }
    return undefined;
  }

  #plain(session: Session, turn: number, chunks: number): AsyncIterableIterator<Chunk> {
    const words = Array.from({ length: chunks }, (_, i) => String(valueOf(turn, i)));
    return session.runProtocolTask(words.join(' '));
  }

  #live(session: Session, turn: number, chunks: number): AsyncIterableIterator<Chunk> {
    const live = session.live({ maxPartsInFlight: 4 });
    const write = async (): Promise<void> => {
      for (let i = 0; i < chunks; i++)
        await live.write({ x: new Float32Array([valueOf(turn, i)]) });
      await live.end();
    };
    // What goes wrong shows where the chunks are read.
    write().catch(() => undefined);
    return live;
  }

  async #move(session: Session): Promise<Session> {
    const handle = session.export();
    await session.detach();
    const moved = this.manager().import(handle);
    this.#session = moved;
    moved.on('recovered', () => this.recovered++);
    return moved;
  }

  #happen(at: number): void {
    for (const event of this.plan.events) {
      const hoster = this.mock.hosters[event.hoster];
      if (event.at !== at || hoster === undefined) continue;
      if (event.kind === 'drain') this.mock.drain(hoster, 5_000);
      else this.mock.stop(hoster);
      this.clock.setTimer(() => this.mock.start(hoster), event.downMs);
    }
  }

  /** Runs it to its end in time of its own. */
  async go(): Promise<void> {
    let over = false;
    const work = this.work()
      .catch((error: unknown) => this.errors.push(CabstandError.from(error)))
      .finally(() => (over = true));
    for (let i = 0; !over; i++) {
      await new Promise((resolve) => setImmediate(resolve));
      await this.clock.advance(i % 20 === 19 ? 250 : 5);
      if (i > 20_000) throw new Error(`it hangs in state ${this.#session?.state ?? 'none'}`);
    }
    await work;
    for (const manager of this.#managers) {
      const closed = manager.close();
      let done = false;
      void closed.then(() => (done = true));
      while (!done) {
        await new Promise((resolve) => setImmediate(resolve));
        await this.clock.advance(100);
      }
    }
  }
}

test('whatever fails and when, each position comes once and in order, or one typed error', async () => {
  let recovered = 0;
  await fc.assert(
    fc.asyncProperty(plan, async (given) => {
      const run = new Run(given);
      await run.go();
      for (let i = 1; i < run.positions.length; i++)
        expect(run.positions[i]).toBeGreaterThan(run.positions[i - 1] ?? -1);
      // A failure of the test itself is an INTERNAL without a cause of ours.
      for (const error of run.errors) expect(error.reason).not.toBe('INTERNAL');
      if (run.errors.length === 0) {
        const turns = given.turns.map(({ chunks }) => chunks);
        expect(run.positions.length).toBe(turns.reduce((sum, chunks) => sum + chunks, 0));
      } else
        // Only these are for the application to see.
        expect(['TURN_POISONED', 'EPOCH_FENCED']).toContain(run.errors[0]?.reason);
      recovered += run.recovered;
    }),
    { numRuns: 200 },
  );
  // A property that holds because nothing happens says nothing.
  expect(recovered).toBeGreaterThan(20);
}, 120_000);
