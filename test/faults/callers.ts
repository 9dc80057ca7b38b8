import type { RemoteManager, Session, SessionManager } from '@cabstand/client';
import { float32Of } from '@cabstand/tensor';
import { until } from '@cabstand/testing';

/** A client of the subnet: a process of its own would have the same two. */
export interface Caller {
  readonly remote: RemoteManager;
  readonly sessions: SessionManager;
}

/** What callers did while something was done to the subnet. */
export interface Seen {
  /** Long sessions that got records from before it until after it. */
  readonly running: number;
  /** Sessions that were opened and ended meanwhile. */
  readonly opened: number;
  /** Records of both. */
  readonly records: number;
}

interface Loop {
  /** Whose session it has now. */
  caller: Caller;
  records: number;
  /** Sessions that it ended. */
  ended: number;
}

const MODEL = 'accumulator';
const RECORDS_A_TURN = 10;
const RECORDS_OF_SHORT = 5;
/** Between two records, so that the callers leave some of the machine to the services. */
const PACE_MS = 40;

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

  constructor(caller: Caller, options: { readonly running: number; readonly opening: number }) {
    this.#caller = caller;
    this.#ended = [
      ...this.#start(this.#running, options.running, (loop) => this.#run(loop)),
      ...this.#start(this.#opening, options.opening, (loop) => this.#open(loop)),
    ];
  }

  /** Does something while all of them are busy, and says how busy they were. Throws where one failed. */
  async over(act: () => Promise<unknown>): Promise<Seen> {
    await this.#goOn('before');
    const before = this.#counts();
    await act();
    await this.#goOn('after');
    const after = this.#counts();
    const opened = this.#opening.reduce((sum, { ended }) => sum + ended, 0) - before.opened;
    return {
      running: after.running.filter((records, i) => records > (before.running[i] ?? Infinity))
        .length,
      opened,
      records: after.records - before.records,
    };
  }

  /** As when the client is started again: its sessions are handed to another one, and the first one is closed. */
  async restart(caller: Caller): Promise<void> {
    const before = this.#caller;
    this.#caller = caller;
    await this.#until('all sessions to be with the new client', () =>
      this.#all.every((loop) => loop.caller === caller),
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
    let session = loop.caller.sessions.session({ model: MODEL });
    for (let sum = 0; !this.#stop.signal.aborted; sum += RECORDS_A_TURN) {
      await this.#addUp(session, RECORDS_A_TURN, sum, loop);
      if (loop.caller === this.#caller) continue;
      const next = this.#caller;
      const handle = session.export();
      await session.detach();
      session = next.sessions.import(handle);
      // Only now nothing of it is left at the client before.
      loop.caller = next;
    }
    await session.close();
  }

  /** One session after another. */
  async #open(loop: Loop): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const session = loop.caller.sessions.session({ model: MODEL });
      await this.#addUp(session, RECORDS_OF_SHORT, 0, loop);
      await session.close();
      loop.ended++;
      loop.caller = this.#caller;
    }
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
    await until(what, () => this.failures.length > 0 || done() || undefined);
    if (this.failures.length > 0)
      throw new AggregateError(this.failures, `a caller failed: ${String(this.failures[0])}`);
  }

  #counts(): { running: number[]; opened: number; records: number } {
    return {
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
