/** Consumers and hosters, the network between them, and one schedule of what happens to them. */
import { FakeClock } from '@cabstand/core';
import { authConfigSchema, createSealer } from '@cabstand/auth-admin';
import { Consumer } from './consumer';
import { Hoster } from './hoster';
import { Network } from './network';
import type { Op } from './ops';
import { generator, pick } from './random';
import type { Expected, Script } from './script';
import { undisturbed } from './script';
import { settle } from './settle';

const ADDRESSES = ['hoster-1:1', 'hoster-2:1'] as const;
const JOURNAL_RECORDS = 6;
const SNAPSHOT_RECORDS = 3;
const LIVE_PARTS = 4;
const LAST_STOP_MS = 1000;
/** No schedule takes as long. */
export const LONGEST_MS = 20_000_000;
/** Consumers of one session that may be alive at once: its own, and stale ones. */
const MOST_ALIVE = 3;

export interface Plan {
  readonly scripts: readonly Script[];
  /** Whether applications name their sessions. */
  readonly named: boolean;
  readonly seed: number;
  readonly ops: readonly Op[];
}

/** One session, whoever has it. */
interface Owned {
  readonly script: Script;
  readonly expected: Expected;
  /** The newest is the last. */
  readonly consumers: Consumer[];
  saved: string | undefined;
  /** What the newest consumer began with. */
  given: string | undefined;
}

export class World {
  readonly violations: string[] = [];
  readonly clock = new FakeClock();
  readonly network = new Network();
  readonly hosters: (Hoster | undefined)[];
  readonly sessions: Owned[];
  engineDeaths = 0;
  readonly #sealer = createSealer(authConfigSchema.parse({}));
  readonly #random: () => number;
  readonly #named: boolean;
  #processes = 0;

  constructor({ scripts, named, seed }: Plan) {
    this.#random = generator(seed);
    this.#named = named;
    this.hosters = ADDRESSES.map((_, index) => this.#start(index));
    this.sessions = scripts.map((script) => ({
      script,
      expected: undisturbed(script),
      consumers: [],
      saved: undefined,
      given: undefined,
    }));
    for (const session of this.sessions) this.#consume(session);
  }

  get consumers(): readonly Consumer[] {
    return this.sessions.flatMap(({ consumers }) => consumers);
  }

  get alive(): readonly Consumer[] {
    return this.consumers.filter(({ outcome }) => outcome.kind !== 'left');
  }

  async play(ops: readonly Op[]): Promise<void> {
    await settle();
    for (const op of ops) {
      await this.#do(op);
      await settle();
    }
  }

  /** Faults are over: all hosters are up, and what is sent arrives. */
  mend(): void {
    ADDRESSES.forEach((address, index) => {
      for (const { process } of this.consumers) this.network.mend(process, address);
      const hoster = (this.hosters[index] ??= this.#start(index));
      hoster.engine.restart();
      // It may take its time to go, but then it is back.
      if (hoster.sessions.openness.kind !== 'open') this.#end(index, LAST_STOP_MS);
    });
  }

  /**
   * A consumer may be fenced off by what one that is dead said last. It asks again then, and is the newest.
   * Answers whether somebody did.
   */
  askAgain(): boolean {
    let asked = false;
    for (const session of this.sessions) {
      const { consumers, given } = session;
      const over = consumers.some(({ fate }) => fate === 'finished' || fate === 'TURN_POISONED');
      if (over || given === undefined || consumers.at(-1)?.fate !== 'EPOCH_FENCED') continue;
      this.#consume(session, given);
      asked = true;
    }
    return asked;
  }

  /** Lets everything go its way until `done`; false if it never is. */
  async flow(done: () => boolean, rounds = 4000): Promise<boolean> {
    for (let i = 0; i < rounds; i++) {
      if (done()) return true;
      for (const consumer of this.alive) {
        consumer.reads.let(1);
        consumer.writes.let(1);
      }
      await this.#round();
      await this.clock.advance(i % 10 === 9 ? 500 : 5);
      await settle();
    }
    return done();
  }

  #start(index: number): Hoster {
    const address = ADDRESSES[index] ?? '';
    const hoster = new Hoster({
      address,
      clock: this.clock,
      sealer: this.#sealer,
      options: {
        journalRecords: JOURNAL_RECORDS,
        snapshotRecords: SNAPSHOT_RECORDS,
        liveParts: LIVE_PARTS,
        // A name that was used up while it was opened cannot be used again.
        ...(this.#named ? { orphanTimeoutMs: LONGEST_MS, idleTimeoutMs: LONGEST_MS } : {}),
      },
      onViolation: (what) => this.violations.push(what),
    });
    this.network.listen(address, hoster);
    return hoster;
  }

  /** Whether a hoster was told to end, and has not. */
  get ending(): boolean {
    return this.hosters.some((hoster) => hoster?.sessions.openness.kind === 'stopping');
  }

  #stop(index: number): void {
    const hoster = this.hosters[index];
    if (hoster === undefined) return;
    this.network.listen(ADDRESSES[index] ?? '', undefined);
    hoster.clock.stop();
    this.hosters[index] = undefined;
  }

  #restart(index: number): void {
    this.#stop(index);
    this.hosters[index] = this.#start(index);
  }

  /** It is told to end, and is started again when it has. */
  #end(index: number, deadlineMs: number): void {
    const hoster = this.hosters[index];
    if (hoster === undefined) return;
    void hoster.sessions.stop(deadlineMs).then(() => {
      if (this.hosters[index] === hoster) this.#restart(index);
    });
  }

  #after(ms: number, what: () => void): void {
    if (ms === 0) what();
    else this.clock.setTimer(what, ms);
  }

  #consume(session: Owned, handle?: string): void {
    const consumer = new Consumer({
      process: this.#processes++,
      clock: this.clock,
      network: this.network,
      hosters: ADDRESSES,
      random: this.#random,
      script: session.script,
      expected: session.expected,
      onViolation: (what) => this.violations.push(what),
      ...(this.#named ? { id: `session-${this.sessions.indexOf(session)}` } : {}),
      ...(handle === undefined ? {} : { handle }),
    });
    session.consumers.push(consumer);
    session.given = handle;
    void consumer.run();
  }

  /** One message on each way, and one step of each engine. */
  async #round(): Promise<void> {
    for (const way of this.network.ways) {
      this.network.deliver(way);
      await settle();
    }
    for (const hoster of this.hosters) hoster?.engine.step();
    await settle();
  }

  async #do(op: Op): Promise<void> {
    switch (op.op) {
      case 'flow':
        for (let i = 0; i < op.count; i++) await this.#round();
        return;
      case 'deliver': {
        const way = pick(this.network.ways, op.at);
        for (let i = 0; way !== undefined && i < op.count; i++) {
          this.network.deliver(way);
          await settle();
        }
        return;
      }
      case 'lose':
        pick(this.network.calls, op.at)?.lose();
        return;
      case 'duplicate': {
        const call = pick(this.network.calls, op.at);
        if (call !== undefined) this.network.duplicate(call);
        return;
      }
      case 'cut': {
        const process = pick(this.alive, op.who)?.process;
        const address = pick(ADDRESSES, op.where);
        if (process === undefined || address === undefined) return;
        this.network.cut(process, address);
        this.#after(op.ms, () => this.network.mend(process, address));
        return;
      }
      case 'read':
        pick(this.alive, op.who)?.reads.let(op.count);
        return;
      case 'write':
        pick(this.alive, op.who)?.writes.let(op.count);
        return;
      case 'step': {
        const engine = pick(this.hosters, op.where)?.engine;
        for (let i = 0; i < op.count; i++) engine?.step(op.late);
        return;
      }
      case 'killEngine': {
        const engine = pick(this.hosters, op.where)?.engine;
        if (engine?.status.state !== 'ready') return;
        this.engineDeaths++;
        engine.crash();
        this.#after(op.ms, () => engine.restart());
        return;
      }
      case 'kill': {
        const index = op.where % ADDRESSES.length;
        if (this.hosters[index] === undefined) return;
        this.#stop(index);
        this.#after(op.ms, () => (this.hosters[index] ??= this.#start(index)));
        return;
      }
      case 'drain':
        pick(this.hosters, op.where)?.sessions.drain(op.ms);
        return;
      case 'stop':
        this.#end(op.where % ADDRESSES.length, op.ms);
        return;
      case 'save': {
        const session = pick(this.sessions, op.session);
        const handle = session?.consumers.at(-1)?.export();
        if (session !== undefined && handle !== undefined) session.saved = handle;
        return;
      }
      case 'move':
        this.#move(op.session, op.how);
        return;
      case 'advance':
        await this.clock.advance(op.ms);
    }
  }

  /** Another process goes on with a session. */
  #move(which: number, how: 'detach' | 'stale' | 'kill'): void {
    const session = pick(this.sessions, which);
    const owner = session?.consumers.at(-1);
    if (session === undefined || owner?.running !== true) return;
    const handle = how === 'kill' ? session.saved : owner.export();
    if (handle === undefined) return;
    const others = session.consumers.filter(({ outcome }) => outcome.kind !== 'left');
    if (how === 'detach') void owner.detach();
    else if (how === 'kill') owner.kill();
    else if (others.length >= MOST_ALIVE) return;
    this.#consume(session, handle);
  }
}
