import { CabstandError } from '@cabstand/core';
import type { MethodInfo } from '../contract';
import type { CallOptions, Endpoint } from './exchange';
import { Outbox } from './outbox';
import { ResponseStream } from './response-stream';

/** A call with requests and responses streaming independently. */
export class BidiStream<Req, Res> {
  readonly responses: ResponseStream<Res>;
  /** The server has taken the call; rejects where it ends before. */
  readonly accepted: Promise<void>;
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
    let accepted: () => void = () => undefined;
    let ended: (error: CabstandError) => void = () => undefined;
    this.accepted = new Promise((resolve, reject) => {
      accepted = resolve;
      ended = reject;
    });
    // For those who care; the responses end with the same error.
    this.accepted.catch(() => undefined);
    this.responses = new ResponseStream(endpoint, info, undefined, decode, options, {
      accepted: () => {
        this.#outbox.accepted();
        accepted();
      },
      restarted: () => this.#outbox.restart(),
      ended: (error) => {
        this.#outbox.close(error);
        ended(error ?? new CabstandError('CANCELLED', 'the call has ended'));
      },
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
