/** The Open Inference Protocol over HTTP: callers are authenticated, limited and counted as those of gRPC. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { SecureContextOptions } from 'node:tls';
import { CabstandError, invalid } from '@cabstand/core';
import { publicError } from '@cabstand/rpc';
import { HttpGate, callerGone, sendAnswer } from '@cabstand/service';
import type { Entered, GateOptions, HttpAnswer } from '@cabstand/service';
import { HttpListener } from '../http/listener';
import type { HttpTls } from '../http/listener';
import type { Inference } from '../infer/inference';
import { InferenceService } from '../inference/service';
import { readBody } from './body';
import { routeOf } from './routes';
import type { Route } from './routes';
import { errorAnswer } from './wire';

export interface InferenceHttpOptions extends GateOptions {
  readonly inference: Inference;
  readonly limits: GateOptions['limits'] & {
    /** Of a body. */
    readonly maxMessageBytes: number;
    readonly maxConnections: number;
  };
  /** Default: plain HTTP. */
  readonly tls?: HttpTls | undefined;
}

/** gRPC has no deadline for callers that set none; neither have they here. */
export class InferenceHttpServer {
  readonly #options: InferenceHttpOptions;
  readonly #listener: HttpListener;
  readonly #gate: HttpGate;
  readonly #stopped = new AbortController();

  constructor(options: InferenceHttpOptions) {
    this.#options = options;
    this.#gate = new HttpGate(options);
    const { maxConnections } = options.limits;
    this.#listener = new HttpListener(
      { maxConnections, tls: options.tls },
      (request, response) => void this.#handle(request, response),
    );
  }

  /** For a certificate that has changed. */
  setTls(tls: SecureContextOptions): void {
    this.#listener.setTls(tls);
  }

  /** Binds `host:port`, answers the port. Throws ADDRESS_IN_USE or CONFIG_INVALID. */
  listen(address: string): Promise<number> {
    return this.#listener.listen(address);
  }

  /** Takes no new requests, waits for those that run, and after `deadlineMs` ends them. */
  close(deadlineMs: number): Promise<void> {
    return this.#listener.close(deadlineMs, () =>
      this.#stopped.abort(new CabstandError('DRAINING', 'the server stops')),
    );
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const signal = AbortSignal.any([callerGone(response), this.#stopped.signal]);
    const path = (request.url ?? '').split('?')[0] ?? '';
    const route = routeOf(path);
    const answer =
      route === undefined
        ? errorAnswer(noRoute(path))
        : await this.#observed(route, request, signal);
    sendAnswer(request, response, answer);
  }

  async #observed(
    route: Route,
    request: IncomingMessage,
    signal: AbortSignal,
  ): Promise<HttpAnswer> {
    let entered: Entered | undefined;
    try {
      entered = await this.#gate.enter(InferenceService[route.method].info, request);
      if (request.method !== route.verb)
        throw invalid('INVALID_ARGUMENT', 'method', request.method, route.verb);
      const answer = await this.#answer(
        route,
        request,
        entered,
        AbortSignal.any([signal, entered.trusted]),
      );
      entered.finished();
      return answer;
    } catch (thrown) {
      const error = publicError(thrown);
      entered?.finished(error);
      return errorAnswer(error);
    }
  }

  async #answer(
    route: Route,
    request: IncomingMessage,
    entered: Entered,
    signal: AbortSignal,
  ): Promise<HttpAnswer> {
    const { inference, limits } = this.#options;
    const { principal, trace } = entered;
    const body = await readBody(request, limits.maxMessageBytes, signal);
    entered.messageReceived();
    const answer = await route.run({ inference, caller: { principal, trace }, body, signal });
    entered.messageSent();
    return answer;
  }
}

function noRoute(path: string): CabstandError {
  return new CabstandError('UNIMPLEMENTED', `there is nothing at ${path.slice(0, 200)}`, {
    metadata: { field: 'path', expected: '/v2/…' },
  });
}
