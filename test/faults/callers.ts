import type { RemoteManager, Session, SessionManager, SessionOptions } from '@cabstand/client';
import { float32Of } from '@cabstand/tensor';
import { until } from '@cabstand/testing';
import { Ride } from '../support/ride';

/** A client of the subnet: a process of its own would have the same two. */
export interface Caller {
  readonly remote: RemoteManager;
  readonly sessions: SessionManager;
}

/** How many callers there are of each kind. */
export interface Crew {
  /** Sessions that run all the time. */
  readonly running: number;
  /** Callers that open one session after another. */
  readonly opening: number;
  /** The same with sessions that are not durable. Default 0. */
  readonly plain?: number;
  /** Rides of a module (test/modules/ride.ts, model `ride`) that run all the time. Default 0. */
  readonly riding?: number;
  /** Others that run all the time and count their records, until they are told to stop. */
  readonly others?: readonly ((tally: Tally, stop: AbortSignal) => Promise<void>)[];
}

export interface Tally {
  records: number;
}

/** What callers did while something was done to the subnet. */
export interface Seen {
  /** Long sessions that got records from before it until after it. */
  readonly running: number;
  /** Sessions that were opened and ended meanwhile. */
  readonly opened: number;
  /** How often a session went on at another hoster. */
  readonly moves: number;
  /** Sessions whose first turn ended, by hoster and version of the model: `node@version`. */
  readonly places: ReadonlyMap<string, number>;
  /** Records of both. */
  readonly records: number;
}

interface Loop extends Tally {
  /** Whose session it has now; undefined for one that has no such. */
  caller: Caller | undefined;
  /** Sessions that it ended. */
  ended: number;
}

const MODEL = 'accumulator';
const RECORDS_A_TURN = 10;
const RECORDS_OF_SHORT = 5;
/** Between two records, so that the callers leave some of the machine to the services. */
const PACE_MS = 40;
/** A machine may be busy with other things. */
const PATIENCE_MS = 60_000;

/**
 * Callers that never pause: sessions of a model that adds up, which run all the time, and new ones that are opened
 * all the time. Every sum is checked, so that a record that is lost, or computed twice, is a failure as well.
 */
export class Callers implements AsyncDisposable {
  readonly failures: unknown[] = [];
  readonly #running: Loop[] = [];
  readonly #opening: Loop[] = [];
  readonly #ended: Promise<void>[];
  readonly #stop = new AbortController();
  #caller: Caller;
  #moves = 0;
  #places = new Map<string, number>();

  constructor(caller: Caller, { running, opening, plain = 0, riding = 0, others = [] }: Crew) {
    this.#caller = caller;
    const { signal } = this.#stop;
    this.#ended = [
      ...this.#start(this.#running, running, (loop) => this.#run(loop)),
      ...this.#start(this.#running, riding, (loop) => this.#ride(loop)),
      ...others.flatMap((act) =>
        this.#start(this.#running, 1, (loop) => {
          loop.caller = undefined;
          return act(loop, signal);
        }),
      ),
      ...this.#start(this.#opening, opening, (loop) => this.#open(loop, true)),
      ...this.#start(this.#opening, plain, (loop) => this.#open(loop, false)),
    ];
  }

  /** How many run all the time. */
  get running(): number {
    return this.#running.length;
  }

  /** How many open one session after another. */
  get opening(): number {
    return this.#opening.length;
  }

  /** Does something while all of them are busy, and says how busy they were. Throws where one failed. */
  async over(act: () => Promise<unknown>): Promise<Seen> {
    await this.#goOn('before');
    const before = this.#counts();
    this.#places = new Map();
    await act();
    await this.#goOn('after');
    const after = this.#counts();
    const opened = this.#opening.reduce((sum, { ended }) => sum + ended, 0) - before.opened;
    return {
      running: after.running.filter((records, i) => records > (before.running[i] ?? Infinity))
        .length,
      opened,
      moves: after.moves - before.moves,
      places: this.#places,
      records: after.records - before.records,
    };
  }

  /** As when the client is started again: its sessions are handed to another one, and the first one is closed. */
  async restart(caller: Caller): Promise<void> {
    const before = this.#caller;
    this.#caller = caller;
    await this.#until('all sessions to be with the new client', () =>
      this.#all.every((loop) => loop.caller === undefined || loop.caller === caller),
    );
    await closeCaller(before);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#ended);
    await closeCaller(this.#caller);
  }

  get #all(): readonly Loop[] {
    return [...this.#running, ...this.#opening];
  }

  #start(loops: Loop[], count: number, act: (loop: Loop) => Promise<void>): Promise<void>[] {
    return Array.from({ length: count }, async () => {
      const loop = { caller: this.#caller, records: 0, ended: 0 };
      loops.push(loop);
      try {
        await act(loop);
      } catch (error) {
        this.failures.push(error);
      }
    });
  }

  /** A session that goes on from turn to turn, and from client to client. */
  async #run(loop: Loop): Promise<void> {
    let session = this.#session(this.#caller);
    for (let sum = 0; !this.#stop.signal.aborted; sum += RECORDS_A_TURN) {
      await this.#addUp(session, RECORDS_A_TURN, sum, loop);
      if (loop.caller === this.#caller) continue;
      const next = this.#caller;
      const handle = session.export();
      await session.detach();
      session = this.#watched(next.sessions.import(handle));
      // Only now nothing of it is left at the client before.
      loop.caller = next;
    }
    await session.close();
  }

  /** A module that counts; it is begun anew where the client is another one. */
  async #ride(loop: Loop): Promise<void> {
    const over = (): boolean => this.#stop.signal.aborted;
    while (!over()) {
      loop.caller = this.#caller;
      const session = this.#session(this.#caller, { model: 'ride' });
      const ride = new Ride(session, { pace: PACE_MS });
      for (let frame = 0; !over() && loop.caller === this.#caller; frame++) {
        await ride.read(1);
        const [last] = ride.frames.splice(0);
        if (last?.[0] !== frame)
          throw new Error(`frame ${String(frame)} of ${session.id} is ${String(last?.[0])}`);
        loop.records++;
      }
      await session.close();
    }
  }

  /** One session after another. */
  async #open(loop: Loop, durable: boolean): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const session = this.#session(this.#caller, { durable });
      await this.#addUp(session, RECORDS_OF_SHORT, 0, loop);
      await session.close();
      loop.ended++;
      loop.caller = this.#caller;
    }
  }

  #session({ sessions }: Caller, options: Partial<SessionOptions> = {}): Session {
    const session = this.#watched(sessions.session({ model: MODEL, ...options }));
    let opened = '';
    session.once('opened', ({ version }) => (opened = version));
    session.once('turnEnd', () => {
      const place = `${session.node?.nodeId ?? ''}@${opened}`;
      this.#places.set(place, (this.#places.get(place) ?? 0) + 1);
    });
    return session;
  }

  #watched(session: Session): Session {
    session.on('recovered', ({ from, to }) => {
      if (from.nodeId !== to.nodeId || from.incarnation !== to.incarnation) this.#moves++;
    });
    return session;
  }

  /** Writes ones, each as soon as the record of the one before is there. */
  async #addUp(session: Session, count: number, from: number, loop: Loop): Promise<void> {
    const turn = session.live();
    for (let i = 1; i <= count; i++) {
      await turn.write({ signal: new Float32Array(4).fill(1) });
      const { value, done } = await turn.next();
      const sum = done === true ? undefined : float32Of(value.tensor('sum'))[0];
      if (sum !== from + i)
        throw new Error(`record ${String(from + i)} of ${session.id} says ${String(sum)}`);
      loop.records++;
      await new Promise((resolve) => setTimeout(resolve, PACE_MS));
    }
    await turn.end();
    if ((await turn.next()).done !== true) throw new Error(`${session.id} got a record too many`);
  }

  /** Waits until each of them has come further than it is now. */
  async #goOn(when: string): Promise<void> {
    const now = this.#all.map(({ records, ended }) => ({ records, ended }));
    await this.#until(
      `every caller to go on ${when} it`,
      () =>
        this.#running.every(({ records }, i) => records > now[i]!.records) &&
        this.#opening.every(({ ended }, i) => ended > now[this.#running.length + i]!.ended),
    );
  }

  /** Throws what a caller failed with as soon as one has. */
  async #until(what: string, done: () => boolean): Promise<void> {
    await until(what, () => this.failures.length > 0 || done() || undefined, {
      timeoutMs: PATIENCE_MS,
      explain: () =>
        this.#all.map(({ records, ended }) => `${String(records)}/${String(ended)}`).join(' '),
    });
    if (this.failures.length > 0)
      throw new AggregateError(this.failures, `a caller failed: ${String(this.failures[0])}`);
  }

  #counts(): { running: number[]; opened: number; moves: number; records: number } {
    return {
      moves: this.#moves,
      running: this.#running.map(({ records }) => records),
      opened: this.#opening.reduce((sum, { ended }) => sum + ended, 0),
      records: this.#all.reduce((sum, { records }) => sum + records, 0),
    };
  }
}

export async function closeCaller({ sessions, remote }: Caller): Promise<void> {
  await sessions.close();
  await remote.close();
}
