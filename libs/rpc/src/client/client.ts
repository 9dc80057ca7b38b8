import { Channel, connectivityState } from '@grpc/grpc-js';
import { CabstandError, systemClock } from '@cabstand/core';
import type { Clock } from '@cabstand/core';
import { Encoded } from '../contract';
import type { BidiMethod, ServerStreamMethod, UnaryMethod } from '../methods';
import { BidiStream } from './bidi';
import type { CallOptions, Endpoint } from './exchange';
import { normalizeClientOptions } from './options';
import type { RpcClientOptions } from './options';
import { ResponseStream } from './response-stream';
import { unaryCall } from './unary';

/**
 * Calls to one server over one connection. It connects at the first call, finds a server that stands
 * still by keepalive, and fails with nothing but CabstandErrors.
 */
export class RpcClient {
  readonly address: string;
  readonly #endpoint: Endpoint;
  readonly #dial: () => Channel;
  #channel: Channel;
  readonly #clock: Clock;
  /** How to end each call that runs. */
  readonly #active = new Set<(error: CabstandError) => void>();
  #lastUsed: number;
  #closed = false;

  /** `address` is `host:port`, and the audience that calls are signed for. */
  constructor(address: string, options: RpcClientOptions = {}, clock: Clock = systemClock) {
    this.address = address;
    this.#clock = clock;
    this.#lastUsed = clock.monotonic();
    const settings = normalizeClientOptions(options);
    this.#dial = () => new Channel(address, settings.credentials, settings.channel);
    this.#channel = this.#dial();
    this.#endpoint = {
      address,
      settings,
      clock,
      channel: () => this.#connectable(),
      connected: () => this.#channel.getConnectivityState(false) === connectivityState.READY,
      enter: (cancel) => this.#enter(cancel),
    };
  }

  /** Calls that run now. */
  get activeCalls(): number {
    return this.#active.size;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Milliseconds since the last call ended; 0 while one runs. */
  get idleMs(): number {
    return this.#active.size > 0 ? 0 : this.#clock.monotonic() - this.#lastUsed;
  }

  /** One request, one response. Throws a CabstandError. */
  unary<Req, ReqOut, Res, ResOut>(
    method: UnaryMethod<Req, ReqOut, Res, ResOut>,
    request: Req | Encoded,
    options: CallOptions = {},
  ): Promise<ResOut> {
    try {
      const body = encode(method.request.encode, request);
      return unaryCall(this.#endpoint, method.info, body, method.response.decode, options);
    } catch (thrown) {
      return Promise.reject(CabstandError.from(thrown));
    }
  }

  /** One request, a stream of responses. Failures of the call are thrown by the stream. */
  serverStream<Req, ReqOut, Res, ResOut>(
    method: ServerStreamMethod<Req, ReqOut, Res, ResOut>,
    request: Req | Encoded,
    options: CallOptions = {},
  ): ResponseStream<ResOut> {
    const stream = new ResponseStream(
      this.#endpoint,
      method.info,
      encode(method.request.encode, request),
      method.response.decode,
      options,
    );
    stream.exchange.start();
    return stream;
  }

  /** Requests and responses streaming independently. */
  bidi<Req, ReqOut, Res, ResOut>(
    method: BidiMethod<Req, ReqOut, Res, ResOut>,
    options: CallOptions = {},
  ): BidiStream<Req, ResOut> {
    const { info, request, response } = method;
    return new BidiStream(this.#endpoint, info, request.encode, response.decode, options);
  }

  /** Closes the connection; calls that run are CANCELLED. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const cancel of [...this.#active]) cancel(this.#closedError());
    this.#channel.close();
  }

  /**
   * A channel that failed to connect fails every call until its own backoff is over, though the server
   * may be back. When to try again is decided by whoever calls: each try dials.
   */
  #connectable(): Channel {
    if (this.#channel.getConnectivityState(false) === connectivityState.TRANSIENT_FAILURE) {
      this.#channel.close();
      this.#channel = this.#dial();
    }
    return this.#channel;
  }

  #enter(cancel: (error: CabstandError) => void): () => void {
    if (this.#closed) throw this.#closedError();
    this.#active.add(cancel);
    return () => {
      this.#active.delete(cancel);
      this.#lastUsed = this.#clock.monotonic();
    };
  }

  #closedError(): CabstandError {
    return new CabstandError('CANCELLED', `the connection to ${this.address} was closed here`);
  }
}

function encode<Req>(serialize: (message: Req) => Buffer, request: Req | Encoded): Buffer {
  if (request instanceof Encoded) return request.bytes;
  try {
    return serialize(request);
  } catch (thrown) {
    throw new CabstandError('INVALID_ARGUMENT', 'the request cannot be written as a message', {
      cause: thrown,
    });
  }
}
