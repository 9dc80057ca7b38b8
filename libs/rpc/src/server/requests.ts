import type { Readable } from 'node:stream';
import { abortReason, breathe } from '@cabstand/core';
import type { RequestReader } from '../requests/reader';
import type { ActiveCall } from './call';

/** Bytes of a message from which on several that come at once take turns. */
export const LARGE = 256 * 1024;

/**
 * The requests of a streaming call, read only as fast as the handler asks: grpc-js holds 16 messages,
 * then HTTP/2 flow control stops the caller. Iterating throws when the call is over.
 */
export class RequestStream<Req> implements AsyncIterable<Req>, AsyncIterator<Req> {
  readonly #source: Readable;
  readonly #active: ActiveCall;
  readonly #read: RequestReader<Req>;
  #ended = false;
  #wake: (() => void) | undefined;

  constructor(source: Readable, active: ActiveCall, read: RequestReader<Req>) {
    this.#source = source;
    this.#active = active;
    this.#read = read;
    const wake = (): void => this.#wake?.();
    source.on('readable', wake);
    // A caller that cancels ends its requests in the same breath, and the end is seen first. Waiting
    // for the rest of what arrived keeps a cancel from looking like an orderly end.
    source.on('end', () =>
      setImmediate(() =>
        setImmediate(() => {
          this.#ended = true;
          this.#wake?.();
        }),
      ),
    );
    active.onEnd(wake);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<Req, undefined>> {
    for (;;) {
      if (this.#active.over) {
        if (this.#active.signal.aborted) throw abortReason(this.#active.signal);
        return { done: true, value: undefined };
      }
      const bytes = this.#source.read() as Buffer | null;
      if (bytes !== null) {
        this.#active.received();
        if (bytes.length > LARGE) await breathe();
        const request = this.#read(bytes);
        return { done: false, value: request instanceof Promise ? await request : request };
      }
      if (this.#ended) return { done: true, value: undefined };
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
  }

  return(): Promise<IteratorResult<Req, undefined>> {
    this.#ended = true;
    return Promise.resolve({ done: true, value: undefined });
  }
}
