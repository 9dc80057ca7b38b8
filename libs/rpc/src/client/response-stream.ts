import { CabstandError } from '@cabstand/core';
import type { MethodInfo } from '../contract';
import { Exchange } from './exchange';
import type { CallOptions, Endpoint } from './exchange';
import { Inbox } from './inbox';

/** What a stream of responses tells those who need more than its messages. */
export interface StreamHooks {
  accepted?(): void;
  restarted?(): void;
  ended?(error: CabstandError | undefined): void;
}

/**
 * The responses of a streaming call, for one consumer. The server is held back while
 * `maxQueuedMessages` wait here. Leaving a `for await` loop cancels the call.
 *
 * Where every microsecond counts, `read` takes what is here already without a promise:
 * ```ts
 * while (await stream.ready()) {
 *   for (let m = stream.read(); m !== undefined; m = stream.read()) handle(m);
 * }
 * ```
 */
export class ResponseStream<Res> implements AsyncIterable<Res>, AsyncIterator<Res, undefined> {
  readonly #inbox: Inbox<Res>;
  readonly #exchange: Exchange;

  constructor(
    endpoint: Endpoint,
    info: MethodInfo,
    body: Buffer | undefined,
    decode: (bytes: Buffer) => Res,
    options: CallOptions,
    hooks: StreamHooks = {},
  ) {
    const { maxQueuedMessages, maxQueuedBytes } = endpoint.settings;
    this.#inbox = new Inbox(maxQueuedMessages, maxQueuedBytes, () => this.#exchange.read());
    this.#exchange = new Exchange(endpoint, info, body, options, {
      accepted: () => hooks.accepted?.(),
      restarted: () => hooks.restarted?.(),
      message: (bytes) => this.#onMessage(decode, bytes),
      ended: (error) => {
        this.#inbox.end(error);
        hooks.ended?.(error);
      },
    });
  }

  /** For the call's owner: begins it. */
  get exchange(): Exchange {
    return this.#exchange;
  }

  /** The next message if one has arrived. */
  read(): Res | undefined {
    return this.#inbox.take();
  }

  /** True once `read` has a message, false at the end; throws the CabstandError the call failed with. */
  ready(): Promise<boolean> {
    return this.#inbox.ready();
  }

  /** Ends the call. A consumer that waits gets `reason`, by default CANCELLED. */
  cancel(reason?: CabstandError): void {
    this.#inbox.clear();
    this.#exchange.cancel(reason ?? new CabstandError('CANCELLED', 'the call was cancelled'));
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<Res, undefined>> {
    const value = this.#inbox.take();
    return value === undefined ? this.#wait() : Promise.resolve({ done: false, value });
  }

  return(): Promise<IteratorResult<Res, undefined>> {
    this.cancel();
    return Promise.resolve({ done: true, value: undefined });
  }

  async #wait(): Promise<IteratorResult<Res, undefined>> {
    if (!(await this.#inbox.ready())) return { done: true, value: undefined };
    return { done: false, value: this.#inbox.take() as Res };
  }

  #onMessage(decode: (bytes: Buffer) => Res, bytes: Buffer): void {
    let message: Res;
    try {
      message = decode(bytes);
    } catch (thrown) {
      this.#exchange.cancel(badReply(thrown));
      return;
    }
    if (this.#inbox.add(message, bytes.length)) this.#exchange.read();
  }
}

/** The server sent bytes that are no message of the method. */
export function badReply(cause: unknown): CabstandError {
  return new CabstandError('NODE_BAD_REPLY', 'the reply is not a message of this method', {
    cause,
  });
}
