import { CabstandError, abortReason } from '@cabstand/core';
import { fromStatus, publicError, toStatus } from '@cabstand/rpc';
import type { Call } from './call';

/** The hoster's end of a call, as a server gives it to a handler. */
export class ServerSide {
  readonly #call: Call;
  readonly #controller = new AbortController();
  readonly #requests: Buffer[] = [];
  #over = false;
  #wakeReader: (() => void) | undefined;
  #room: { readonly promise: Promise<void>; readonly settle: () => void } | undefined;

  constructor(call: Call) {
    this.#call = call;
  }

  get over(): boolean {
    return this.#over;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  arrive(bytes: Buffer): void {
    if (this.#over) return;
    this.#requests.push(bytes);
    this.#wakeReader?.();
  }

  /** The caller has cancelled, or the connection was lost. */
  abort(): void {
    if (this.#over) return;
    this.#over = true;
    this.#controller.abort(new CabstandError('CANCELLED', 'the caller is gone'));
    this.wake();
  }

  /** The process is gone: nobody is told. */
  vanish(): void {
    this.#over = true;
  }

  /** Something was taken off the wire. */
  wake(): void {
    this.#wakeReader?.();
    if (this.#over || this.#call.writable) this.#room?.settle();
  }

  /** The requests as they arrive; throws when the call is over. */
  async *requests(): AsyncGenerator<Buffer, undefined> {
    for (;;) {
      if (this.#over) {
        if (this.signal.aborted) throw abortReason(this.signal);
        return;
      }
      const bytes = this.#requests.shift();
      if (bytes !== undefined) yield bytes;
      else
        await new Promise<void>((resolve) => {
          this.#wakeReader = resolve;
        });
    }
  }

  /** False if the reader has no room. */
  push(bytes: Buffer): boolean {
    if (this.#over) return false;
    this.#call.answer({ kind: 'message', bytes });
    return this.#call.writable;
  }

  drained(): Promise<void> {
    if (this.#over) return Promise.reject(new CabstandError('CANCELLED', 'the call has ended'));
    if (this.#call.writable) return Promise.resolve();
    if (this.#room === undefined) {
      let settle: () => void = () => undefined;
      const promise = new Promise<void>((resolve, reject) => {
        settle = () => {
          this.#room = undefined;
          if (this.#over) reject(new CabstandError('CANCELLED', 'the call has ended'));
          else resolve();
        };
      });
      this.#room = { promise, settle };
    }
    return this.#room.promise;
  }

  /** The handler is through. What it threw goes over the wire as it would over gRPC's. */
  finish(thrown?: unknown): void {
    if (this.#over) return;
    this.#over = true;
    let error: CabstandError | undefined;
    if (thrown !== undefined) {
      const { code, details, metadata } = toStatus(publicError(thrown));
      error = fromStatus(code, details, metadata);
    }
    this.#call.answer({ kind: 'status', error });
    this.wake();
  }
}
