/** Watches over authors' code: that it ends within the grace of a stop, and that it gives signs of life. */
import type { SilentSequence, StopReason } from '../../frames/module-frames';
import type { SessionFlags } from './flags';

/** `look` is to be called as often as this. */
export const LOOK_MS = 100;
/** How long a thread may take to answer that it has left a session's code alone. */
const ANSWER_MS = 1000;
/** A session that is silent for less is not spoken of. */
const NOTICED_MS = 1000;
/** A thread is asked no more often than this whether it answers. */
const ASK_MS = 1000;

export interface WatchOptions {
  readonly silentMs: number;
  /** Of a stop that comes of silence. */
  readonly graceMs: number;
  /** Nobody but the next one may use the engine after code that went on past its grace. */
  readonly exclusive: boolean;
}

export interface WatchEvents {
  /** It was silent for too long, and was told to stop. */
  silenced(sequence: number, ms: number): void;
  /** Its grace is over: nothing of its code is wanted any more. */
  revoke(sequence: number): void;
  /** The thread does not answer, or may not be used any further. */
  giveUp(sequence: number): void;
  /** The thread is to count an answer. */
  ask(): void;
  /** It answered nothing for too long, though all sessions wait: whose code blocks it, nobody knows. */
  blocked(ms: number): void;
}

/** Where the thread counts its answers. */
export interface Answers {
  readonly answers: number;
}

type Watched = {
  readonly flags: SessionFlags;
} & (
  | { readonly name: 'running'; readonly signs: number; readonly since: number }
  | { readonly name: 'stopping'; readonly until: number }
  | { readonly name: 'revoked'; readonly until: number }
);

/**
 * Of turns that run. Whoever calls says what time it is, in milliseconds of one monotonic clock. Only the time counts in which
 * the watch itself could look: a machine that stood still, or had no time for this process, had none for authors either.
 */
export class Watch {
  readonly #options: WatchOptions;
  readonly #events: WatchEvents;
  readonly #turns = new Map<number, Watched>();
  readonly #thread: Answers;
  #answers = 0;
  /** When somebody last said what time it is. */
  #told: number | undefined;
  /** Time that counts, and how much of it had passed at the last look; the fields below have times of this kind. */
  #now = 0;
  #looked = 0;
  /** When it was asked what it has not answered yet, and the signs of life that sessions had given by then. */
  #asked: { readonly at: number; readonly signs: ReadonlyMap<number, number> } | undefined;
  #nextAsk = 0;
  /** When a session gave the last sign of life. */
  #lively = 0;

  constructor(options: WatchOptions, thread: Answers, events: WatchEvents) {
    this.#options = options;
    this.#thread = thread;
    this.#events = events;
  }

  /** No turn runs. */
  get idle(): boolean {
    return this.#turns.size === 0;
  }

  began(sequence: number, flags: SessionFlags, time: number): void {
    if (this.#turns.has(sequence)) return;
    const now = this.#passed(time);
    // Nobody looked while nothing ran.
    if (this.idle) this.#lively = now;
    this.#turns.set(sequence, { flags, name: 'running', signs: flags.signs, since: now });
    // It was stopped before it had a turn.
    if (flags.stopped !== undefined)
      this.#turns.set(sequence, { flags, name: 'stopping', until: now + this.#options.graceMs });
  }

  ended(sequence: number): void {
    this.#turns.delete(sequence);
  }

  /** The flag is set already. A later stop may only shorten the grace. */
  stopped(sequence: number, graceMs: number, time: number): void {
    const turn = this.#turns.get(sequence);
    if (turn === undefined || turn.name === 'revoked') return;
    const { flags } = turn;
    const until = this.#passed(time) + graceMs;
    if (turn.name === 'running') this.#turns.set(sequence, { flags, name: 'stopping', until });
    else if (until < turn.until) this.#turns.set(sequence, { flags, name: 'stopping', until });
  }

  /** To be called each `LOOK_MS`. */
  look(time: number): void {
    const now = this.#passed(time);
    const step = now - this.#looked;
    this.#looked = now;
    this.#hear();
    for (const [sequence, turn] of this.#turns)
      if (turn.name === 'running') this.#listen(sequence, turn, now);
      else if (this.#cannotEnd(sequence, turn))
        this.#turns.set(sequence, { ...turn, until: turn.until + step });
      else if (now >= turn.until) this.#overdue(sequence, turn, now);
    this.#lookAtThread(now);
  }

  /** Turns whose author has given no sign of life for more than a second, and does not wait for the runtime. */
  silent(time: number): SilentSequence[] {
    const now = this.#passed(time);
    return [...this.#turns].flatMap(([sequence, turn]) => {
      if (turn.name !== 'running' || turn.flags.waiting) return [];
      const ms = now - turn.since;
      return ms > NOTICED_MS ? [{ sequence, ms: Math.round(ms) }] : [];
    });
  }

  /** The time that counts. */
  #passed(time: number): number {
    this.#now += Math.min(time - (this.#told ?? time), LOOK_MS);
    this.#told = time;
    return this.#now;
  }

  /** The thread may have answered. */
  #hear(): void {
    const { answers } = this.#thread;
    if (answers === this.#answers) return;
    this.#answers = answers;
    this.#asked = undefined;
  }

  /**
   * Whether the thread is known to be with somebody else, who has limits of his own: it answers nothing, and a session
   * that was told to stop is at a call that waits, or another one has given a sign of life meanwhile.
   */
  #cannotEnd(sequence: number, { flags }: Watched): boolean {
    const asked = this.#asked?.signs;
    if (asked === undefined || this.#options.exclusive) return false;
    const moved = (one: number, { signs }: SessionFlags): boolean =>
      signs !== (asked.get(one) ?? 0);
    if (moved(sequence, flags)) return false;
    if (!inHands(flags)) return true;
    return [...this.#turns].some(
      ([one, { name, flags: its }]) => name === 'running' && moved(one, its),
    );
  }

  #listen(sequence: number, turn: Extract<Watched, { name: 'running' }>, now: number): void {
    const { flags, since } = turn;
    const { signs } = flags;
    // Before the first sign its code has not begun: the thread is another session's.
    if (signs !== turn.signs) this.#lively = now;
    if (signs !== turn.signs || flags.waiting || signs === 0) {
      this.#turns.set(sequence, { flags, name: 'running', signs, since: now });
      return;
    }
    const { silentMs, graceMs } = this.#options;
    if (now - since <= silentMs) return;
    flags.stop(SILENCE);
    this.#turns.set(sequence, { flags, name: 'stopping', until: now + graceMs });
    this.#events.silenced(sequence, now - since);
  }

  /**
   * Code may run where no session is in its author's hands: in a timer, beside a call that waits, behind the end of
   * its session. Then it is the thread that is silent.
   */
  #lookAtThread(now: number): void {
    if (this.idle) return;
    const turns = [...this.#turns];
    if (this.#asked === undefined) {
      // Of a turn that is to end it has to be known whether it can.
      if (now < this.#nextAsk && turns.every(([, { name }]) => name === 'running')) return;
      const signs = new Map(turns.map(([sequence, { flags }]) => [sequence, flags.signs]));
      this.#asked = { at: now, signs };
      this.#nextAsk = now + ASK_MS;
      this.#events.ask();
      return;
    }
    const ms = now - Math.max(this.#asked.at, this.#lively);
    // One that is in its author's hands has a limit of its own.
    const judged = turns.some(([, { flags }]) => inHands(flags));
    if (ms > this.#options.silentMs && !judged) this.#events.blocked(ms);
  }

  #overdue(sequence: number, { flags, name }: Watched, now: number): void {
    if (name === 'stopping' && !this.#options.exclusive) {
      this.#turns.set(sequence, { flags, name: 'revoked', until: now + ANSWER_MS });
      this.#events.revoke(sequence);
    } else this.#events.giveUp(sequence);
  }
}

/** Whether the author's code may run: it has begun, and waits for nothing of the runtime's. */
function inHands(flags: SessionFlags): boolean {
  return !flags.waiting && flags.signs !== 0;
}

/** A limit of the manifest passed. */
const SILENCE: StopReason = 'timed_out';
