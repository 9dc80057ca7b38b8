/** Sequences of requests as sessions: found by the id that the caller gives, apart for each principal and model. */
import { createHash } from 'node:crypto';
import { CabstandError, systemClock } from '@cabstand/core';
import type { Clock, Timer } from '@cabstand/core';
import type { ServedRecord, ServedSession, SessionAsk, TurnInput } from '../serving';
import type { SequenceMark } from './ask';
import { TurnQueue } from './turn-queue';

/** Requests of one sequence that wait for those before. */
const MOST_WAITING = 256;

export interface SequencesOptions {
  /** A sequence that nobody goes on with ends after this, in milliseconds. */
  readonly idleMs: number;
  /** Default: the system's. */
  readonly clock?: Clock;
}

/** What a sequence runs on. */
export interface SequenceAsk {
  readonly mark: SequenceMark;
  readonly session: Omit<SessionAsk, 'key' | 'how'>;
  readonly input: TurnInput;
}

interface Entry {
  readonly queue: TurnQueue;
  session: ServedSession | undefined;
  idle: Timer | undefined;
}

export class Sequences {
  readonly #open: (ask: SessionAsk, signal: AbortSignal) => Promise<ServedSession>;
  readonly #idleMs: number;
  readonly #clock: Clock;
  readonly #entries = new Map<string, Entry>();

  constructor(
    open: (ask: SessionAsk, signal: AbortSignal) => Promise<ServedSession>,
    { idleMs, clock = systemClock }: SequencesOptions,
  ) {
    this.#open = open;
    this.#idleMs = idleMs;
    this.#clock = clock;
  }

  /** Sequences that are known here. */
  get size(): number {
    return this.#entries.size;
  }

  /**
   * One request, after those of its sequence that came before. Throws SESSION_UNKNOWN for a sequence that does
   * not run and is not started, LIMIT_EXCEEDED, and what opening a session and running its turn throw.
   */
  async *run(ask: SequenceAsk, signal: AbortSignal): AsyncGenerator<ServedRecord> {
    const { mark } = ask;
    const name = nameOf(ask);
    const entry = this.#entry(name);
    try {
      await entry.queue.enter(signal);
    } catch (error) {
      this.#rest(name, entry);
      throw error;
    }
    let over = mark.end;
    try {
      const session = await this.#session(entry, name, ask, signal);
      yield* session.run(ask.input, signal);
    } catch (error) {
      // Whoever is refused may send it again.
      if (['caller', 'overload'].includes(CabstandError.from(error).class)) over = false;
      throw error;
    } finally {
      if (over) {
        await entry.session?.close();
        entry.session = undefined;
      }
      entry.queue.leave();
      this.#rest(name, entry);
    }
  }

  /** Nothing ends by itself any more. Sessions are left to what serves them. */
  stop(): void {
    for (const { idle } of this.#entries.values()) idle?.cancel();
    this.#entries.clear();
  }

  #entry(name: string): Entry {
    const known = this.#entries.get(name);
    if (known !== undefined) {
      known.idle?.cancel();
      return known;
    }
    const entry = { queue: new TurnQueue(MOST_WAITING), session: undefined, idle: undefined };
    this.#entries.set(name, entry);
    return entry;
  }

  async #session(
    entry: Entry,
    name: string,
    { mark, session: ask }: SequenceAsk,
    signal: AbortSignal,
  ): Promise<ServedSession> {
    if (entry.session !== undefined && (mark.start || entry.session.ended)) {
      await entry.session.close();
      entry.session = undefined;
    }
    try {
      const how = mark.start ? 'new' : 'existing';
      entry.session ??= await this.#open({ ...ask, key: name, how }, signal);
    } catch (thrown) {
      const { reason } = CabstandError.from(thrown);
      if (mark.start || (reason !== 'SESSION_UNKNOWN' && reason !== 'SESSION_ENDED')) throw thrown;
      throw this.#notStarted(mark, ask.model);
    }
    return entry.session;
  }

  #notStarted({ id }: SequenceMark, model: string): CabstandError {
    return new CabstandError(
      'SESSION_UNKNOWN',
      `sequence ${id} of model ${model} does not run: the first request of a sequence sets sequence_start, ` +
        `and one that nobody goes on with for ${this.#idleMs / 1000} s has ended`,
      { metadata: { sequence_id: String(id), model, expected: 'sequence_start' } },
    );
  }

  /** Nobody uses the sequence now. */
  #rest(name: string, entry: Entry): void {
    if (!entry.queue.empty || this.#entries.get(name) !== entry) return;
    entry.idle?.cancel();
    if (entry.session === undefined || entry.session.ended) {
      this.#entries.delete(name);
      return;
    }
    const { session } = entry;
    const abandon = (): void => {
      this.#entries.delete(name);
      void session.close();
    };
    entry.idle = this.#clock.setTimer(abandon, this.#idleMs, { unref: true });
  }
}

/** Also the session's key: the same wherever the request arrives. */
function nameOf({ mark: { id }, session: { caller, model } }: SequenceAsk): string {
  const parts = [caller.principal.id, model, typeof id, String(id)];
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 40);
}
