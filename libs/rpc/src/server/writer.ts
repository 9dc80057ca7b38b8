import { CabstandError, abortReason } from '@cabstand/core';
import { Encoded } from '../contract';
import type { StreamWriter } from '../contract';
import type { ActiveCall } from './call';

/** The part of grpc-js's writable calls that is used here. */
export interface WritableCall {
  readonly writableNeedDrain: boolean;
  readonly writableLength: number;
  write(chunk: Buffer, done?: () => void): boolean;
  on(event: 'drain', listener: () => void): unknown;
}

/** grpc-js counts messages only; those above this size are counted in bytes as well. */
const LARGE = 4096;
/** A handler that never awaits `drained` is stopped here. */
const MOST_QUEUED = 1024;
const READY = Promise.resolve();

interface Waiter {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: CabstandError) => void;
}

/** Writes a response stream no faster than it is read. */
export class CallWriter<Res> implements StreamWriter<Res> {
  readonly #call: WritableCall;
  readonly #active: ActiveCall;
  readonly #encode: (message: Res) => Buffer;
  readonly #limitBytes: number;
  #largeBytes = 0;
  #waiter: Waiter | undefined;

  constructor(
    call: WritableCall,
    active: ActiveCall,
    encode: (message: Res) => Buffer,
    limitBytes: number,
  ) {
    this.#call = call;
    this.#active = active;
    this.#encode = encode;
    this.#limitBytes = limitBytes;
    call.on('drain', () => this.#wake());
    active.onEnd(() => this.#waiter?.reject(this.#overError()));
  }

  push(message: Res | Encoded): boolean {
    if (this.#active.over) return false;
    if (this.#call.writableLength >= MOST_QUEUED)
      throw new CabstandError('INTERNAL', 'messages were pushed without waiting for the reader');
    const bytes = message instanceof Encoded ? message.bytes : this.#encode(message);
    this.#active.sent();
    if (bytes.length <= LARGE)
      return this.#call.write(bytes) && this.#largeBytes < this.#limitBytes;
    this.#largeBytes += bytes.length;
    const room = this.#call.write(bytes, () => {
      this.#largeBytes -= bytes.length;
      this.#wake();
    });
    return room && this.#largeBytes < this.#limitBytes;
  }

  write(message: Res | Encoded): Promise<void> {
    try {
      return this.push(message) ? READY : this.drained();
    } catch (thrown) {
      return Promise.reject(CabstandError.from(thrown));
    }
  }

  drained(): Promise<void> {
    if (this.#active.over) return Promise.reject(this.#overError());
    if (this.#hasRoom()) return READY;
    if (this.#waiter === undefined) {
      let resolve = (): void => undefined;
      let reject: Waiter['reject'] = () => undefined;
      const promise = new Promise<void>((yes, no) => {
        resolve = yes;
        reject = no;
      });
      this.#waiter = { promise, resolve, reject };
    }
    return this.#waiter.promise;
  }

  #hasRoom(): boolean {
    return !this.#call.writableNeedDrain && this.#largeBytes < this.#limitBytes;
  }

  #wake(): void {
    if (this.#waiter === undefined || !this.#hasRoom()) return;
    const { resolve } = this.#waiter;
    this.#waiter = undefined;
    resolve();
  }

  #overError(): CabstandError {
    const { signal } = this.#active;
    return signal.aborted
      ? abortReason(signal)
      : new CabstandError('CANCELLED', 'the call has ended already');
  }
}
