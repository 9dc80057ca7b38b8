/** A process with one session, and the application that uses it. */
import { CabstandError } from '@cabstand/core';
import type { FakeClock } from '@cabstand/core';
import { RemoteManager, SessionManager } from '@cabstand/client';
import type { Chunk, LiveTurn, Session, TurnResult } from '@cabstand/client';
import type { PlacementSource } from '@cabstand/client/protocol';
import { ProcessClock } from '@cabstand/testing';
import { MODEL } from './engine';
import { Gate } from './gate';
import type { Network } from './network';
import { memoryProtocol } from './protocol';
import type { Expected, Script } from './script';

export interface ConsumerInit {
  readonly process: number;
  readonly clock: FakeClock;
  readonly network: Network;
  readonly hosters: readonly string[];
  readonly random: () => number;
  readonly script: Script;
  readonly expected: Expected;
  /** The session's name, where the application gives one. */
  readonly id?: string;
  /** From the process that had the session before. */
  readonly handle?: string;
  readonly onViolation: (what: string) => void;
}

type Outcome =
  | { readonly kind: 'running' }
  /** All turns are over. */
  | { readonly kind: 'finished' }
  | { readonly kind: 'failed'; readonly error: CabstandError }
  /** The process died, or let the session go. */
  | { readonly kind: 'left' };

/** What a session may take in all: faults last that long, and longer. */
const PATIENCE_MS = 86_400_000;
const LONG = { recoverMs: PATIENCE_MS, placeMs: PATIENCE_MS, writeMs: PATIENCE_MS };

export class Consumer {
  readonly process: number;
  readonly clock: ProcessClock;
  readonly reads = new Gate();
  readonly writes = new Gate();
  outcome: Outcome = { kind: 'running' };
  /** Breaks that were made good. */
  recovered = 0;
  readonly #init: ConsumerInit;
  readonly #remote: RemoteManager;
  readonly #manager: SessionManager;
  #session: Session | undefined;
  /** Index of the chunk that is next. */
  #next = 0;

  constructor(init: ConsumerInit) {
    const { process, network, hosters, random } = init;
    this.#init = init;
    this.process = process;
    this.clock = new ProcessClock(init.clock);
    const { clock } = this;
    this.#remote = new RemoteManager({ hosters, clock, random });
    const remote = this.#remote;
    const placement: PlacementSource = {
      acquire: (request) => remote.acquire(request),
      enter: (node) => remote.enter(node),
      settle: (node, outcome) => remote.settle(node, outcome),
      // As routers do that know of several copies.
      locate: () =>
        Promise.resolve(hosters.map((address) => ({ nodeId: address, incarnation: '', address }))),
    };
    this.#manager = new SessionManager(placement, {
      protocol: memoryProtocol(network, process, clock),
      clock,
      random,
      timeouts: LONG,
      retry: { attempts: 100_000, budget: 100_000 },
    });
  }

  get running(): boolean {
    return this.outcome.kind === 'running';
  }

  /** How it ended, in a word. */
  get fate(): string {
    const { outcome } = this;
    if (outcome.kind === 'failed') return outcome.error.reason;
    if (outcome.kind !== 'running') return outcome.kind;
    return `still ${this.#session?.state ?? 'none'} at ${this.#session?.position ?? -1}`;
  }

  /** Uses the session to the end of the script. */
  async run(): Promise<void> {
    try {
      await this.#work();
      this.#settle({ kind: 'finished' });
    } catch (thrown) {
      this.#settle({ kind: 'failed', error: CabstandError.from(thrown) });
    }
  }

  /** What another process needs to go on from here; undefined where there is nothing yet. */
  export(): string | undefined {
    try {
      return this.#session?.export();
    } catch {
      return undefined;
    }
  }

  async detach(): Promise<void> {
    this.#settle({ kind: 'left' });
    await this.#session?.detach();
    await this.close();
  }

  /** The process dies. */
  kill(): void {
    this.#settle({ kind: 'left' });
    this.clock.stop();
    this.#init.network.forget(this.process);
  }

  async close(): Promise<void> {
    await this.#manager.close();
    await this.#remote.close();
  }

  #settle(outcome: Outcome): void {
    if (this.running) this.outcome = outcome;
  }

  async #work(): Promise<void> {
    const { script, expected, id, handle } = this.#init;
    const session =
      handle === undefined
        ? this.#manager.session({ model: MODEL, ...(id === undefined ? {} : { id }) })
        : this.#manager.import(handle);
    this.#session = session;
    session.on('recovered', () => this.recovered++);
    const from = session.position;
    this.#next = expected.chunks.findIndex(({ position }) => position >= from);
    if (this.#next < 0) this.#next = expected.chunks.length;
    for (let turn = 0; turn < script.length; turn++) {
      if ((expected.turns[turn]?.end ?? 0) < from) continue;
      const result = await this.#turn(session, turn);
      this.#checkEnd(turn, result);
    }
  }

  async #turn(session: Session, turn: number): Promise<TurnResult> {
    const { live, parts } = this.#init.script[turn] ?? { live: false, parts: [[]] };
    if (session.turnPending) return this.#read(session.continueTurn());
    if (!live) return this.#read(session.runProtocolTask(undefined, inputOf(parts[0] ?? [])));
    const stream = session.live({ maxPartsInFlight: 2, maxBufferedChunks: 2 });
    // What goes wrong shows where the chunks are read.
    this.#write(stream, parts).catch(() => undefined);
    return this.#read(stream);
  }

  async #write(stream: LiveTurn, parts: readonly (readonly number[])[]): Promise<void> {
    for (const part of parts) {
      await this.writes.pass();
      await stream.write(inputOf(part));
    }
    await this.writes.pass();
    await stream.end();
  }

  async #read(chunks: AsyncIterableIterator<Chunk, TurnResult>): Promise<TurnResult> {
    for (;;) {
      await this.reads.pass();
      const step = await chunks.next();
      if (step.done === true) return step.value;
      if (this.outcome.kind === 'left') throw new CabstandError('CANCELLED', 'the process left');
      this.#check(step.value);
    }
  }

  #check({ turn, position, text }: Chunk): void {
    const expected = this.#init.expected.chunks[this.#next++];
    const got = { turn, position, text };
    if (JSON.stringify(got) !== JSON.stringify(expected))
      this.#violation(`got ${JSON.stringify(got)} instead of ${JSON.stringify(expected)}`);
  }

  #checkEnd(turn: number, { reason, steps }: TurnResult): void {
    if (this.outcome.kind === 'left') return;
    const expected = this.#init.expected.turns[turn];
    const following = this.#init.expected.chunks[this.#next];
    if (reason !== 'completed' || steps !== expected?.steps)
      this.#violation(`turn ${turn} ended as ${reason} after ${steps} steps`);
    if (following !== undefined && following.turn <= turn)
      this.#violation(`turn ${turn} ended before ${JSON.stringify(following)}`);
  }

  #violation(what: string): void {
    this.#init.onViolation(`consumer ${this.process}: ${what}`);
  }
}

function inputOf(values: readonly number[]): { readonly x: Uint8Array } {
  return { x: Uint8Array.from(values) };
}
