import { CabstandError } from '@cabstand/core';
import type { Exchange } from './exchange';

const MOST_MESSAGES = 16;
const MOST_BYTES = 1024 * 1024;

/** - `open`: takes requests. - `ending`: sends what it has. - `closed`: the call is over. */
type State =
  | { readonly kind: 'open' }
  | { readonly kind: 'ending' }
  | { readonly kind: 'closed'; readonly error: CabstandError };

/** Requests of a bidi call on their way out, one at a time on the wire, few and small in waiting. */
export class Outbox {
  readonly #exchange: Exchange;
  #queue: Buffer[] = [];
  #bytes = 0;
  /** Requests at the head of the queue that were sent but are kept in case the call starts again. */
  #kept = 0;
  #keeping: boolean;
  #sending = false;
  #state: State = { kind: 'open' };
  #attempt = 0;
  #waiters: { resolve: () => void; reject: (error: CabstandError) => void }[] = [];

  constructor(exchange: Exchange, replayable: boolean) {
    this.#exchange = exchange;
    this.#keeping = replayable;
  }

  add(bytes: Buffer): Promise<void> {
    if (this.#state.kind === 'closed') return Promise.reject(this.#state.error);
    if (this.#state.kind === 'ending')
      return Promise.reject(
        new CabstandError('INVALID_ARGUMENT', 'the requests were ended already'),
      );
    this.#queue.push(bytes);
    this.#bytes += bytes.length;
    this.#pump();
    if (this.#hasRoom()) return Promise.resolve();
    return new Promise((resolve, reject) => this.#waiters.push({ resolve, reject }));
  }

  end(): void {
    if (this.#state.kind !== 'open') return;
    this.#state = { kind: 'ending' };
    this.#pump();
  }

  /** The server took the call: nothing will have to be sent again. */
  accepted(): void {
    this.#keeping = false;
    for (const bytes of this.#queue.splice(0, this.#kept)) this.#bytes -= bytes.length;
    this.#kept = 0;
    this.#wake();
  }

  restart(): void {
    this.#attempt += 1;
    this.#kept = 0;
    this.#sending = false;
    this.#pump();
  }

  close(error: CabstandError | undefined): void {
    const reason = error ?? new CabstandError('CANCELLED', 'the call has ended');
    this.#state = { kind: 'closed', error: reason };
    this.#queue = [];
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const { reject } of waiters) reject(reason);
  }

  #pump(): void {
    if (this.#sending || this.#state.kind === 'closed') return;
    const next = this.#queue[this.#kept];
    if (next === undefined) {
      if (this.#state.kind === 'ending') this.#exchange.halfClose();
      return;
    }
    this.#sending = true;
    const attempt = this.#attempt;
    this.#exchange.send(next, () => {
      if (attempt !== this.#attempt || this.#state.kind === 'closed') return;
      this.#sending = false;
      if (this.#keeping) this.#kept += 1;
      else {
        this.#queue.shift();
        this.#bytes -= next.length;
      }
      this.#wake();
      this.#pump();
    });
  }

  #hasRoom(): boolean {
    return this.#queue.length < MOST_MESSAGES && this.#bytes < MOST_BYTES;
  }

  #wake(): void {
    if (!this.#hasRoom()) return;
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const { resolve } of waiters) resolve();
  }
}
