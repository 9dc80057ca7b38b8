import type { Chunk, Session, SessionManager, TurnResult } from '@cabstand/client';
import { CabstandError, sleep } from '@cabstand/core';
import type { SurvivalClass } from './module-models';
import { walkOf } from './module-models';
import { Random } from './random';
import { Watched } from './watched';

/** What comes of a session of a module, in the order in which its consumer got it. */
export type RideItem =
  | {
      readonly kind: 'chunk';
      readonly position: number;
      readonly text: string;
      readonly pad: Uint8Array;
    }
  | { readonly kind: 'message'; readonly position: number; readonly message: unknown };

export type CommandKind = 'poke' | 'finish' | 'invalid' | 'unknown';

/** What became of a command. */
export interface RideCommand {
  readonly kind: CommandKind;
  /** What a poke says: the number of pokes before it. */
  readonly n: number;
  /** Undefined while it is under way; `left` where its session went to another client meanwhile. */
  outcome:
    | undefined
    | { readonly kind: 'left' }
    | { readonly kind: 'value'; readonly value: unknown }
    | { readonly kind: 'error'; readonly error: unknown };
}

export interface RideLog {
  readonly items: readonly RideItem[];
  /** In the order in which they were sent. */
  readonly commands: readonly RideCommand[];
  /** Indices of commands, in the order in which their results came. */
  readonly settled: readonly number[];
  /** First element of the input of the beginning; of a live session the number of parts. */
  readonly seed: number;
  readonly parts: number;
  readonly reattached: number;
  readonly end:
    | { readonly kind: 'ended'; readonly reason: string }
    | { readonly kind: 'failed'; readonly error: unknown };
}

export interface RideOptions {
  readonly survival: SurvivalClass;
  /** Input comes in parts while it runs. */
  readonly live: boolean;
  /** Draws what is sent, and when. */
  readonly seed: number;
  readonly signal: AbortSignal;
}

/** Commands without a result. */
const MOST_WAITING = 8;
const READ_MS = [0, 0, 5, 10, 20];
const WRITE_MS = [5, 10, 20, 40];
/** A client gives a session to another one after every so many chunks. */
const REATTACH_EVERY = 60;
/** Of a session whose input comes with the beginning. */
const MOST_TURNS = 3;

interface Reader {
  next(): Promise<IteratorResult<Chunk, TurnResult>>;
}

/** A session of a module with commands under way all the time. */
export class Ride extends Watched {
  readonly name: string;
  readonly model: string;
  readonly #options: RideOptions;
  readonly #random: Random;
  readonly #items: RideItem[] = [];
  readonly #commands: RideCommand[] = [];
  readonly #settled: number[] = [];
  #reattached = 0;
  #pokes = 0;
  /** What takes commands: none while it goes from one client to another. */
  #driven: Session | undefined;
  #over = false;

  constructor(options: RideOptions) {
    super();
    this.#options = options;
    this.model = walkOf(options.survival);
    this.name = `${this.model}${options.live ? '-live' : ''}-${String(options.seed)}`;
    this.#random = new Random(options.seed);
  }

  /** Runs the whole session; what goes wrong is part of the log. */
  async run(sessions: SessionManager, others: SessionManager): Promise<RideLog> {
    const { live, signal } = this.#options;
    const seed = this.#random.int(0, 1000);
    const parts = live ? this.#random.int(40, 120) : 0;
    const log = {
      ...{ items: this.#items, commands: this.#commands, settled: this.#settled },
      ...{ seed: live ? -1 : seed, parts },
    };
    const session = sessions.session({ model: this.model, durable: true, signal });
    this.follow(session);
    this.#listen(session);
    try {
      const reason = live
        ? await this.#live(session, parts)
        : await this.#whole(session, seed, [others, sessions]);
      return { ...log, reattached: this.#reattached, end: { kind: 'ended', reason } };
    } catch (error) {
      return { ...log, reattached: this.#reattached, end: { kind: 'failed', error } };
    } finally {
      this.#over = true;
      this.flowing = false;
      this.#driven = undefined;
      await this.session?.close();
      this.session = undefined;
    }
  }

  #listen(session: Session): void {
    session.on('message', ({ message, position }) => {
      this.#items.push({ kind: 'message', position, message });
      this.seen();
    });
  }

  async #live(session: Session, parts: number): Promise<string> {
    const live = session.live({ parameters: { listen: 1 } });
    const writeMs = this.#random.pick(WRITE_MS);
    const write = async (): Promise<void> => {
      for (let part = 0; part < parts; part++) {
        await live.write({ numbers: Float32Array.of(part) });
        await sleep(writeMs, this.#options.signal);
      }
      await live.end();
    };
    // Both fail with what reading fails with.
    const writing = write();
    writing.catch(() => undefined);
    this.#driven = session;
    const driving = this.#drive(this.#random.int(20, 60));
    driving.catch(() => undefined);
    let end = await this.#read(live);
    while (end === undefined) end = await this.#read(live);
    await writing;
    await driving;
    return end.reason;
  }

  async #whole(session: Session, seed: number, next: SessionManager[]): Promise<string> {
    const turns = this.#random.int(1, MOST_TURNS);
    for (let turn = 1; turn <= turns; turn++) {
      const reason = await this.#turn(this.session ?? session, seed, turn < turns, next);
      if (reason !== 'completed') return reason;
    }
    return 'completed';
  }

  /**
   * @param again another turn follows
   * @param next the clients that take it, the one that has it now last
   */
  async #turn(
    session: Session,
    seed: number,
    again: boolean,
    next: SessionManager[],
  ): Promise<string> {
    const pace = this.#random.pick([2, 5, 10]);
    let reader: Reader = session.runProtocolTask(
      undefined,
      { numbers: Float32Array.of(seed, 1, 2) },
      { parameters: { pace, again: again ? 1 : 0 } },
    );
    // Asked for the first chunk, the turn begins, and takes commands.
    let first: Promise<IteratorResult<Chunk, TurnResult>> | undefined = reader.next();
    this.#driven = session;
    const driving = this.#drive(this.#random.int(15, 60));
    driving.catch(() => undefined);
    let most = REATTACH_EVERY;
    for (;;) {
      const end = await this.#read(reader, first, most);
      first = undefined;
      if (end !== undefined) {
        await driving;
        return end.reason;
      }
      const [to] = next as [SessionManager];
      const taken = await this.#reattach(to);
      most = taken === undefined ? 1 : REATTACH_EVERY;
      if (taken === undefined) continue;
      next.reverse();
      reader = taken.continueTurn();
      first = reader.next();
      this.#driven = taken;
    }
  }

  /** The session at another client; undefined where it cannot go just now. */
  async #reattach(to: SessionManager): Promise<Session | undefined> {
    const from = this.session;
    if (from === undefined) throw new Error('no session');
    let handle: string;
    try {
      handle = from.export();
    } catch (error) {
      // Records were read ahead.
      if (CabstandError.is(error) && error.reason === 'SESSION_BUSY') return undefined;
      throw error;
    }
    this.#driven = undefined;
    await from.detach();
    const { signal } = this.#options;
    const taken = to.import(handle, { signal });
    this.#reattached++;
    this.follow(taken);
    this.#listen(taken);
    this.note('taken by another client');
    return taken;
  }

  /** Reads on until the end, or so many chunks. */
  async #read(
    reader: Reader,
    first = reader.next(),
    most = Infinity,
  ): Promise<TurnResult | undefined> {
    const readMs = this.#random.pick(READ_MS);
    let asked: Promise<IteratorResult<Chunk, TurnResult>> | undefined = first;
    for (let chunks = 0; chunks < most; chunks++) {
      const next = await (asked ?? reader.next());
      asked = undefined;
      if (next.done === true) return next.value;
      const { position, text } = next.value;
      const { data } = next.value.tensor('pad');
      const pad = Uint8Array.from(data);
      this.#items.push({ kind: 'chunk', position, text, pad });
      this.seen();
      if (readMs > 0) await sleep(readMs, this.#options.signal);
    }
    return undefined;
  }

  /** Sends so many commands, and one that finishes the session; resolves with the result of the last. */
  async #drive(count: number): Promise<void> {
    const { signal } = this.#options;
    const waiting = new Set<Promise<void>>();
    const one = async (kind: CommandKind): Promise<void> => {
      while (this.#driven === undefined && !this.#over) await sleep(1, signal);
      if (this.#driven === undefined) return;
      const sent = this.#send(this.#driven, kind).finally(() => waiting.delete(sent));
      waiting.add(sent);
      if (waiting.size >= MOST_WAITING) await Promise.race(waiting);
    };
    const kinds: Record<CommandKind, number> = { poke: 8, finish: 0, invalid: 1, unknown: 1 };
    for (let i = 0; i < count && !this.#over; i++) {
      await one(this.#random.weighted(kinds));
      await sleep(this.#random.int(0, 60), signal);
    }
    await one('finish');
    await Promise.all(waiting);
  }

  async #send(session: Session, kind: CommandKind): Promise<void> {
    const pokes = kind === 'poke' || kind === 'finish';
    const n = pokes ? this.#pokes++ : -1;
    const index = this.#commands.length;
    const command: RideCommand = { kind, n, outcome: undefined };
    this.#commands.push(command);
    const name = pokes ? kind : kind === 'invalid' ? 'poke' : 'nonsense';
    try {
      const value = await session.command(name, { n: kind === 'invalid' ? 'one' : n });
      command.outcome = { kind: 'value', value };
    } catch (error) {
      const left = this.#driven !== session && !this.#over;
      command.outcome = left ? { kind: 'left' } : { kind: 'error', error };
      if (left) return;
    }
    this.#settled.push(index);
  }
}
