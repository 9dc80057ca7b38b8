import type { Readable } from 'node:stream';
import { CabstandError, abortReason } from '@cabstand/core';
import type { ActiveCall } from './call';

/** Decodes one request; bytes that are none are the caller's mistake. */
export function decodeRequest<Req>(decode: (bytes: Buffer) => Req, bytes: Buffer): Req {
  try {
    return decode(bytes);
  } catch (thrown) {
    if (CabstandError.is(thrown)) throw thrown;
    throw new CabstandError('INVALID_ARGUMENT', 'the request is not a message of this method', {
      metadata: { bytes: String(bytes.length) },
      cause: thrown,
    });
  }
}

/**
 * The requests of a streaming call, read only as fast as the handler asks: grpc-js holds 16 messages,
 * then HTTP/2 flow control stops the caller. Iterating throws when the call is over.
 */
export class RequestStream<Req> implements AsyncIterable<Req>, AsyncIterator<Req> {
  readonly #source: Readable;
  readonly #active: ActiveCall;
  readonly #decode: (bytes: Buffer) => Req;
  #ended = false;
  #wake: (() => void) | undefined;

  constructor(source: Readable, active: ActiveCall, decode: (bytes: Buffer) => Req) {
    this.#source = source;
    this.#active = active;
    this.#decode = decode;
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
        return { done: false, value: decodeRequest(this.#decode, bytes) };
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
