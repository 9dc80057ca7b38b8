import type { CabstandError } from '@cabstand/core';
import type { ProtocolEvent } from './events';
import type { EventSource } from './types';

interface PromiseWithResolvers {
  readonly promise: Promise<boolean>;
  readonly resolve: (value: boolean) => void;
  readonly reject: (error: CabstandError) => void;
}

function withResolvers(): PromiseWithResolvers {
  let resolve: (value: boolean) => void = () => undefined;
  let reject: (error: CabstandError) => void = () => undefined;
  const promise = new Promise<boolean>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}

/** An event source fed from this process: what a protocol without a network is made of. */
export class EventQueue implements EventSource {
  readonly #events: ProtocolEvent[] = [];
  readonly #onCancel: (error: CabstandError) => void;
  #end: { readonly error: CabstandError | undefined } | undefined;
  #waiting: PromiseWithResolvers | undefined;
  #room: (() => void) | undefined;

  constructor(
    private readonly limit: number,
    onCancel: (error: CabstandError) => void = () => undefined,
  ) {
    this.#onCancel = onCancel;
  }

  /** Adds an event; false if the reader should be waited for with `room`. */
  push(event: ProtocolEvent): boolean {
    if (this.#end !== undefined) return false;
    this.#events.push(event);
    this.#wake(true);
    return this.#events.length < this.limit;
  }

  /** Resolves when events were read, or the queue ended. */
  room(): Promise<void> {
    if (this.#events.length < this.limit || this.#end !== undefined) return Promise.resolve();
    return new Promise((resolve) => {
      this.#room = resolve;
    });
  }

  /** No event follows. */
  end(error?: CabstandError): void {
    if (this.#end !== undefined) return;
    this.#end = { error };
    this.#room?.();
    if (this.#events.length > 0) return;
    if (error === undefined) this.#wake(false);
    else this.#fail(error);
  }

  get ended(): boolean {
    return this.#end !== undefined;
  }

  poll(): ProtocolEvent | undefined {
    const event = this.#events.shift();
    if (event !== undefined && this.#events.length < this.limit) {
      this.#room?.();
      this.#room = undefined;
    }
    return event;
  }

  wait(): Promise<boolean> {
    if (this.#events.length > 0) return Promise.resolve(true);
    if (this.#end !== undefined)
      return this.#end.error === undefined
        ? Promise.resolve(false)
        : Promise.reject(this.#end.error);
    this.#waiting ??= withResolvers();
    return this.#waiting.promise;
  }

  cancel(error: CabstandError): void {
    if (this.#end !== undefined) return;
    this.#events.length = 0;
    this.end(error);
    this.#onCancel(error);
  }

  #wake(value: boolean): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.resolve(value);
  }

  #fail(error: CabstandError): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.reject(error);
  }
}
