import { EventEmitter } from 'node:events';
import { CabstandError, abortReason, sleep } from '@cabstand/core';
import type { EndReason, RecordEvent } from '../protocol/events';
import type { SessionChannel, SessionStatus, Target } from '../protocol/types';
import { goneAtHoster, trustEnded } from '../retry/decide';
import { Chunk } from './chunk';
import { closedError, isGone } from './endings';
import type { MessageNotice, ModuleNotice } from './events';
import { findSession } from './find';
import type { FindContext, Found } from './find';

/** What is told besides chunks, at its place among them. Listeners must not throw. */
export interface ViewEvents {
  message: [MessageNotice];
  notice: [ModuleNotice];
  /** This process was too slow: so many records were left out before the next chunk. */
  skipped: [{ readonly records: number }];
  /** The session has ended, or the last turn of a module. */
  end: [{ readonly reason: EndReason; readonly error: CabstandError | undefined }];
}

export interface ViewContext extends FindContext {
  readonly sessionId: string;
  readonly model: string;
  readonly found: Found;
  readonly firstMs: number;
  /** How long a session is looked for whose hoster was lost. */
  readonly recoverMs: number;
  readonly signal: AbortSignal | undefined;
  readonly released: () => void;
}

/** Ends at one hoster after which a durable session goes on at another one, if its consumer is there. */
const MAY_GO_ON: ReadonlySet<EndReason> = new Set(['migrated', 'evicted', 'lost']);

/** How long to wait before a session is looked for again, in milliseconds. */
const AGAIN_MS = 250;

/**
 * A session that somebody else uses, watched: the chunks that come, as fast as this process reads them. What it is
 * too slow for is left out; nothing of the session waits for it. Iterate it once. It ends with the session, goes
 * along when that moves, and throws where the session cannot be found again.
 */
export class SessionView
  extends EventEmitter<ViewEvents>
  implements AsyncIterable<Chunk>, AsyncDisposable
{
  readonly id: string;
  readonly model: string;
  readonly #context: ViewContext;
  #node: Target;
  #channel: SessionChannel | undefined;
  #closed = false;
  /** Position of the next record that has not been here. */
  #next = 0;
  /** The highest that is known of it. */
  #epoch: number;
  #chunks = 0;
  #isModule = false;
  /** How it ended at a hoster, where another one may go on with it. */
  #ended: ViewEvents['end'][0] | undefined;

  /** Made by `SessionManager.view`. */
  constructor(context: ViewContext) {
    super();
    const { found, sessionId, signal } = context;
    this.id = sessionId;
    this.model = found.status.model;
    this.#context = context;
    this.#node = found.node;
    this.#epoch = found.status.epoch;
    if (signal?.aborted === true) this.#end(abortReason(signal));
    else signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  /** The hoster that has the session. */
  get node(): Target {
    return this.#node;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Chunk, void, undefined> {
    try {
      while (!this.#closed) {
        const lost = yield* this.#read();
        if (lost === undefined) return;
        await this.#find(lost);
      }
    } finally {
      await this.close();
    }
  }

  /** Watches no more. Never throws. */
  close(): Promise<void> {
    this.#end(new CabstandError('CANCELLED', 'the view was closed'));
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  readonly #onAbort = (): void => void this.close();

  #end(error: CabstandError): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#context.signal?.removeEventListener('abort', this.#onAbort);
    this.#channel?.cancel(error);
    this.#context.released();
  }

  /** Chunks of one stream. Gives why the session is to be looked for elsewhere; undefined where it has ended. */
  async *#read(): AsyncGenerator<Chunk, CabstandError | undefined, undefined> {
    const channel = this.#context.protocol.openChannel(this.#node, {
      kind: 'view',
      sessionId: this.id,
      ticket: this.#context.ticket,
    });
    this.#channel = channel;
    try {
      for (;;) {
        const event = channel.poll();
        if (event === undefined) {
          if (!(await channel.wait())) return undefined;
          continue;
        }
        switch (event.type) {
          case 'record': {
            if (event.position < this.#next) break;
            this.#next = event.position + 1;
            this.#epoch = Math.max(this.#epoch, event.epoch);
            if (event.body === 'chunk') yield new Chunk(event, this.#chunks++);
            else if (this.#heard(event)) return undefined;
            break;
          }
          case 'opened':
            this.#isModule = event.survival !== undefined;
            break;
          case 'module':
            this.emit('notice', { name: event.name, value: event.value, turn: event.turn });
            break;
          case 'skipped':
            this.emit('skipped', { records: event.records });
            break;
          case 'closed': {
            const { reason, error } = event;
            if (MAY_GO_ON.has(reason)) {
              this.#ended = { reason, error };
              return closedError(reason, error);
            }
            this.emit('end', { reason, error });
            return undefined;
          }
          default:
        }
      }
    } catch (thrown) {
      const error = CabstandError.from(thrown);
      if (this.#closed || error.class === 'node') return error;
      // It is not there (any more), or wants fresh credentials.
      if (goneAtHoster(error) || trustEnded(error)) return error;
      throw error;
    } finally {
      channel.cancel(new CabstandError('CANCELLED', 'the view was left'));
    }
  }

  /** A record that is no chunk. Answers whether nothing follows it. */
  #heard(record: RecordEvent): boolean {
    if (record.body === 'message') {
      const { name, value, position, turn } = record;
      this.emit('message', { name, message: value, position, turn });
    }
    if (record.body !== 'end' || !this.#isModule || record.goesOn === true || isGone(record))
      return false;
    this.emit('end', { reason: record.reason, error: record.error });
    return true;
  }

  /** Where the session is now. Where nobody has it in time, it has ended as it was told, or `lost` is thrown. */
  async #find(lost: CabstandError): Promise<void> {
    const { clock, firstMs, recoverMs, model, signal } = this.#context;
    const until = clock.monotonic() + recoverMs;
    while (!this.#closed) {
      try {
        await sleep(AGAIN_MS, signal, clock);
        const { node, status } = await findSession(this.#context, this.id, model, firstMs, signal);
        this.#node = node;
        this.#ended = undefined;
        if (this.#isAnother(status)) {
          this.#next = 0;
          this.#epoch = status.epoch;
        }
        return;
      } catch {
        if (clock.monotonic() < until) continue;
        if (this.#ended === undefined) throw lost;
        this.emit('end', this.#ended);
        this.#end(lost);
      }
    }
  }

  /**
   * Whether it was begun anew under its name, and counts its positions anew. Whoever goes on with a session elsewhere
   * raises its epoch, and under one epoch positions only grow. A copy that was left behind, with nobody who reads
   * it, has a lower epoch, too.
   */
  #isAnother({ epoch, position, state }: SessionStatus): boolean {
    if (epoch < this.#epoch) return state !== 'orphaned';
    return epoch === this.#epoch && position < this.#next;
  }
}
