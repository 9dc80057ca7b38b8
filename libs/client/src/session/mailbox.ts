import { CabstandError } from '@cabstand/core';

interface Reader<T, R> {
  readonly resolve: (step: IteratorResult<T, R>) => void;
  readonly reject: (error: CabstandError) => void;
}

type MailboxState<R> =
  | { readonly kind: 'open' }
  /** What is in it, then the result. */
  | { readonly kind: 'finished'; readonly result: R }
  /** What is in it, then the error, once, then the result. */
  | { readonly kind: 'failed'; readonly error: CabstandError; readonly result: R; told: boolean };

/** A bounded queue between a pump and the one who reads. */
export class Mailbox<T, R> {
  readonly #items: T[] = [];
  readonly #readers: Reader<T, R>[] = [];
  #state: MailboxState<R> = { kind: 'open' };
  #room: (() => void) | undefined;
  #taken: T | undefined;

  constructor(private readonly limit: number) {}

  get full(): boolean {
    return this.#items.length >= this.limit;
  }

  /** Whether its reader is through with all that was put in. */
  get idle(): boolean {
    return this.#items.length === 0 && this.#taken === undefined;
  }

  /** The next item that its reader gets. */
  get first(): T | undefined {
    return this.#items[0];
  }

  get ended(): boolean {
    return this.#state.kind === 'finished';
  }

  /** Why nothing more can be sent; undefined while something can. */
  get failure(): CabstandError | undefined {
    if (this.#state.kind === 'failed') return this.#state.error;
    if (this.#state.kind === 'finished')
      return new CabstandError('SESSION_ENDED', 'the turn is over');
    return undefined;
  }

  push(item: T): void {
    const reader = this.#readers.shift();
    if (reader === undefined) this.#items.push(item);
    else this.#give(reader, item);
  }

  /** Resolves when there is room. */
  room(): Promise<void> {
    if (!this.full) return Promise.resolve();
    return new Promise((resolve) => {
      this.#room = resolve;
    });
  }

  finish(result: R): void {
    if (this.#state.kind !== 'open') return;
    this.#state = { kind: 'finished', result };
    for (const reader of this.#readers.splice(0)) reader.resolve({ done: true, value: result });
  }

  fail(error: CabstandError, result: R): void {
    if (this.#state.kind !== 'open') return;
    const [first, ...others] = this.#readers.splice(0);
    this.#state = { kind: 'failed', error, result, told: first !== undefined };
    first?.reject(error);
    for (const reader of others) reader.resolve({ done: true, value: result });
  }

  /** Nobody wants what is in it. */
  drop(): void {
    this.#items.length = 0;
    this.#taken = undefined;
  }

  /** The next item; `done` hears of the one before, which its reader is through with. */
  next(done: (item: T) => void): Promise<IteratorResult<T, R>> {
    const before = this.#taken;
    this.#taken = undefined;
    if (before !== undefined) done(before);
    const item = this.#items.shift();
    if (item !== undefined) {
      this.#taken = item;
      if (this.#room !== undefined && this.#items.length <= this.limit / 2) {
        this.#room();
        this.#room = undefined;
      }
      return Promise.resolve({ done: false, value: item });
    }
    const state = this.#state;
    if (state.kind === 'failed' && !state.told) {
      state.told = true;
      return Promise.reject(state.error);
    }
    if (state.kind !== 'open') return Promise.resolve({ done: true, value: state.result });
    return new Promise((resolve, reject) => this.#readers.push({ resolve, reject }));
  }

  #give(reader: Reader<T, R>, item: T): void {
    this.#taken = item;
    reader.resolve({ done: false, value: item });
  }
}
