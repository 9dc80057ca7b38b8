import type { CabstandError } from '@cabstand/core';
import type { MethodInfo } from '../contract';
import type { CallOptions, Endpoint } from './exchange';
import { Outbox } from './outbox';
import { ResponseStream } from './response-stream';

/** A call with requests and responses streaming independently. */
export class BidiStream<Req, Res> {
  readonly responses: ResponseStream<Res>;
  readonly #outbox: Outbox;
  readonly #encode: (message: Req) => Buffer;

  constructor(
    endpoint: Endpoint,
    info: MethodInfo,
    encode: (message: Req) => Buffer,
    decode: (bytes: Buffer) => Res,
    options: CallOptions,
  ) {
    this.#encode = encode;
    this.responses = new ResponseStream(endpoint, info, undefined, decode, options, {
      accepted: () => this.#outbox.accepted(),
      restarted: () => this.#outbox.restart(),
      ended: (error) => this.#outbox.close(error),
    });
    const replayable = endpoint.settings.authorizer?.refresh !== undefined;
    this.#outbox = new Outbox(this.responses.exchange, replayable);
    this.responses.exchange.start();
  }

  /** Queues one request; resolves when there is room for another; rejects when the call is over. */
  send(message: Req): Promise<void> {
    return this.#outbox.add(this.#encode(message));
  }

  /** No more requests follow. */
  end(): void {
    this.#outbox.end();
  }

  /** Ends the call in both directions. */
  cancel(reason?: CabstandError): void {
    this.responses.cancel(reason);
  }
}
