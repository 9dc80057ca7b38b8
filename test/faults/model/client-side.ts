import { CabstandError } from '@cabstand/core';
import type { Downward } from './call';

/** Messages that may wait for the application. */
const MOST_UNREAD = 3;

/** The caller's end of a call: what has arrived, to be read, and how it ended. */
export class ClientSide {
  readonly #messages: Buffer[] = [];
  readonly #onCancel: () => void;
  #taken = false;
  #end: { readonly error: CabstandError | undefined } | undefined;
  #taking:
    { readonly resolve: () => void; readonly reject: (error: CabstandError) => void } | undefined;
  #waiter:
    | { readonly resolve: (more: boolean) => void; readonly reject: (error: CabstandError) => void }
    | undefined;

  constructor(onCancel: () => void) {
    this.#onCancel = onCancel;
  }

  get over(): boolean {
    return this.#end !== undefined;
  }

  get hasRoom(): boolean {
    return this.over || this.#messages.length < MOST_UNREAD;
  }

  arrive(message: Downward): void {
    if (this.over) return;
    if (message.kind === 'status') this.#end = { error: message.error };
    else if (message.kind === 'taken') this.#taken = true;
    else this.#messages.push(message.bytes);
    this.#settle();
  }

  /** Resolves when the hoster has taken the call. */
  taken(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#taking = { resolve, reject };
      this.#settle();
    });
  }

  read(): Buffer | undefined {
    return this.#messages.shift();
  }

  ready(): Promise<boolean> {
    return new Promise((resolve, reject) => {
      this.#waiter = { resolve, reject };
      this.#settle();
    });
  }

  cancel(error = new CabstandError('CANCELLED', 'the call was cancelled')): void {
    this.#messages.length = 0;
    if (this.over) return;
    this.#end = { error };
    this.#onCancel();
    this.#settle();
  }

  #settle(): void {
    if (this.#taken) this.#taking?.resolve();
    else if (this.over)
      this.#taking?.reject(this.#end?.error ?? new CabstandError('CANCELLED', 'the call is over'));
    const waiter = this.#waiter;
    if (waiter === undefined || (this.#messages.length === 0 && !this.over)) return;
    this.#waiter = undefined;
    if (this.#messages.length > 0) waiter.resolve(true);
    else if (this.#end?.error === undefined) waiter.resolve(false);
    else waiter.reject(this.#end.error);
  }
}
