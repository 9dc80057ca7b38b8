import { CabstandError } from '@cabstand/core';

/**
 * - `open`: more may come.
 * - `ended`: what is queued is all there is, then `error` if there is one.
 */
type State =
  { readonly kind: 'open' } | { readonly kind: 'ended'; readonly error: CabstandError | undefined };

/** Messages that arrived, for one consumer: taken without a promise while there are some. */
export class Inbox<T> {
  readonly #limit: number;
  readonly #limitBytes: number;
  readonly #onRoom: () => void;
  #items: (T | undefined)[] = [];
  /** Size of each item in bytes. */
  #sizes: number[] = [];
  #bytes = 0;
  #head = 0;
  #full = false;
  #state: State = { kind: 'open' };
  #waiter: { resolve: (more: boolean) => void; reject: (error: CabstandError) => void } | undefined;

  /** Calls `onRoom` when a full inbox has been half emptied. */
  constructor(limit: number, limitBytes: number, onRoom: () => void) {
    this.#limit = limit;
    this.#limitBytes = limitBytes;
    this.#onRoom = onRoom;
  }

  get size(): number {
    return this.#items.length - this.#head;
  }

  /** False if the next one should wait for `onRoom`. */
  add(item: T, bytes: number): boolean {
    this.#items.push(item);
    this.#sizes.push(bytes);
    this.#bytes += bytes;
    this.#settle();
    this.#full = this.size >= this.#limit || this.#bytes >= this.#limitBytes;
    return !this.#full;
  }

  /** The next message, if one is here. */
  take(): T | undefined {
    if (this.#head === this.#items.length) return undefined;
    const item = this.#items[this.#head];
    this.#items[this.#head] = undefined;
    this.#bytes -= this.#sizes[this.#head] ?? 0;
    this.#head += 1;
    if (this.#head === this.#items.length) this.clear();
    if (this.#full && this.size <= this.#limit / 2 && this.#bytes <= this.#limitBytes / 2) {
      this.#full = false;
      this.#onRoom();
    }
    return item;
  }

  /** True once a message can be taken, false at the end; throws the error the stream ended with. */
  ready(): Promise<boolean> {
    if (this.size > 0) return Promise.resolve(true);
    if (this.#state.kind === 'ended') {
      const { error } = this.#state;
      return error === undefined ? Promise.resolve(false) : Promise.reject(error);
    }
    if (this.#waiter !== undefined)
      return Promise.reject(new CabstandError('INTERNAL', 'a stream is read by two at once'));
    return new Promise((resolve, reject) => {
      this.#waiter = { resolve, reject };
    });
  }

  end(error: CabstandError | undefined): void {
    if (this.#state.kind === 'ended') return;
    this.#state = { kind: 'ended', error };
    this.#settle();
  }

  /** Drops what is queued. */
  clear(): void {
    this.#items = [];
    this.#sizes = [];
    this.#bytes = 0;
    this.#head = 0;
  }

  #settle(): void {
    const waiter = this.#waiter;
    if (waiter === undefined) return;
    this.#waiter = undefined;
    if (this.size > 0) waiter.resolve(true);
    else if (this.#state.kind === 'ended' && this.#state.error !== undefined)
      waiter.reject(this.#state.error);
    else waiter.resolve(false);
  }
}
