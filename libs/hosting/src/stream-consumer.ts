import { abortReason } from '@cabstand/core';
import { Encoded } from '@cabstand/rpc';
import type { StreamWriter, v1 } from '@cabstand/rpc';
import type {
  Attachment,
  Consumer,
  Detachment,
  JournalEntry,
  SessionNotice,
} from '@cabstand/sessions';
import { lossOf } from './context';
import { wireNotice } from './wire';

/** Both response messages hold their notice in the same field. */
type Response = Pick<v1.InferenceStreamResponse & v1.SessionStreamResponse, 'notice'>;

const NEWEST_COUNTS: ReadonlySet<SessionNotice['kind']> = new Set([
  'accepted',
  'ack_wanted',
  'checkpoint',
  'progress',
]);

/** Writes a session's records to a call, no faster than they are read. */
export class StreamConsumer implements Consumer {
  readonly #out: StreamWriter<Response>;
  readonly #waiters = new Set<() => void>();
  #attachment: Attachment | undefined;
  #blocked = false;
  /** While the reader has no room only the newest of each of these is worth keeping. */
  readonly #newest = new Map<SessionNotice['kind'], SessionNotice>();
  #lastEnded = -1;
  #gone: Detachment | undefined;

  constructor(out: StreamWriter<Response>) {
    this.#out = out;
  }

  /** Why it hears no more; undefined while it does. */
  get gone(): Detachment | undefined {
    return this.#gone;
  }

  isGone(): boolean {
    return this.#gone !== undefined;
  }

  attached(attachment: Attachment): void {
    this.#attachment = attachment;
  }

  /** Lets go of the session; nothing more comes. */
  detach(reason: 'cancelled' | 'timed_out'): void {
    this.#attachment?.detach(reason);
    this.#gone ??= { kind: 'ended', end: { reason } };
    this.#wake();
  }

  /** Runs what its call does with the session; lets go of that when it is done, or the call is over. */
  async during(signal: AbortSignal, run: () => Promise<void>): Promise<void> {
    const onAbort = (): void => this.detach(lossOf(abortReason(signal)));
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    try {
      await run();
    } finally {
      signal.removeEventListener('abort', onAbort);
      this.detach('cancelled');
    }
  }

  /** Whether the end of this turn was written, or had been before. */
  ended(turn: number): boolean {
    return this.#lastEnded >= turn;
  }

  /** Resolves when the end of this turn (or a later one) was written, or nothing more comes. */
  async turnEnded(turn: number): Promise<void> {
    while (!this.ended(turn) && this.#gone === undefined) await this.#event();
  }

  /** Resolves when nothing more comes. */
  async over(): Promise<Detachment> {
    for (;;) {
      if (this.#gone !== undefined) return this.#gone;
      await this.#event();
    }
  }

  record(entry: JournalEntry): boolean {
    const room = this.#out.push(new Encoded(entry.bytes));
    if (entry.kind === 'end') this.turnOver(entry.turn);
    if (!room) this.#block();
    return room;
  }

  turnOver(turn: number): void {
    this.#lastEnded = turn;
    this.#wake();
  }

  notice(notice: SessionNotice): void {
    if (this.#blocked && NEWEST_COUNTS.has(notice.kind)) {
      this.#newest.set(notice.kind, notice);
      return;
    }
    // A module's may be lost, and comes as often as its author likes.
    if (this.#blocked && notice.kind === 'module') return;
    if (!this.#out.push({ notice: wireNotice(notice) })) this.#block();
  }

  detached(cause: Detachment): void {
    this.#gone = cause;
    this.#wake();
  }

  #block(): void {
    if (this.#blocked) return;
    this.#blocked = true;
    this.#out.drained().then(
      () => {
        this.#blocked = false;
        const waiting = [...this.#newest.values()];
        this.#newest.clear();
        for (const notice of waiting) this.notice(notice);
        this.#attachment?.resume();
      },
      // The call is over; its signal says so to whoever holds the attachment.
      () => undefined,
    );
  }

  #event(): Promise<void> {
    return new Promise((resolve) => this.#waiters.add(resolve));
  }

  #wake(): void {
    for (const wake of this.#waiters) wake();
    this.#waiters.clear();
  }
}
