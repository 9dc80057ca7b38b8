/** HTTP for browsers and curl: callers are authenticated, limited and counted as those of gRPC. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { SecureContextOptions } from 'node:tls';
import { WebSocketServer } from 'ws';
import { CabstandError, invalid } from '@cabstand/core';
import { HttpListener } from '@cabstand/doors';
import type { HttpTls, Serving } from '@cabstand/doors';
import { publicError } from '@cabstand/rpc';
import type { Authorizer, CallObserver, MethodInfo, ServerCall } from '@cabstand/rpc';
import {
  HttpGate,
  callerGone,
  collectBody,
  errorHeaders,
  httpStatus,
  parseJson,
  sendAnswer,
} from '@cabstand/service';
import type { Entered, HttpAnswer } from '@cabstand/service';
import type { HandlerContext } from '../handlers/context';
import { Cors } from './cors';
import { EventWriter } from './event-writer';
import { errorJson } from './events';
import type { FollowedSessions } from './followed-sessions';
import { serveLiveCall } from './live-call';
import { LIVE_PATH, OWN_FORMAT, routeOf } from './routes';
import type { Route } from './routes';

export interface HttpDoorOptions {
  readonly handlers: HandlerContext;
  readonly serving: Serving;
  readonly sessions: FollowedSessions;
  readonly authorizer: Authorizer;
  readonly observers: readonly CallObserver[];
  readonly bindPrincipal: boolean;
  readonly corsOrigins: readonly string[];
  readonly limits: {
    /** Of a body and of a message of a WebSocket. */
    readonly maxBodyBytes: number;
    readonly maxConnections: number;
    readonly maxConcurrentCalls: number;
    readonly maxConcurrentCallsPerPrincipal: number;
  };
  readonly keepAliveMs: number;
  readonly stallMs: number;
  /** For the first message of a WebSocket. */
  readonly firstMessageMs: number;
  readonly tls?: HttpTls | undefined;
}

export class HttpDoor {
  readonly #listener: HttpListener;
  readonly #options: HttpDoorOptions;
  readonly #gate: HttpGate;
  readonly #cors: Cors;
  readonly #sockets: WebSocketServer;
  readonly #stopped = new AbortController();

  constructor(options: HttpDoorOptions) {
    this.#options = options;
    this.#gate = new HttpGate(options);
    this.#cors = new Cors(options.corsOrigins);
    const { maxBodyBytes, maxConnections } = options.limits;
    this.#sockets = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      maxPayload: maxBodyBytes,
      perMessageDeflate: false,
    });
    this.#listener = new HttpListener(
      { maxConnections, tls: options.tls },
      (request, response) => void this.#handle(request, response),
    );
    this.#listener.server.on('upgrade', (request, socket, head) =>
      this.#upgrade(request, socket, head),
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

  /** Streams and requests that are open. */
  get open(): number {
    return this.#gate.open;
  }

  /** Takes nothing new, waits for what runs, WebSockets too, and after `deadlineMs` ends it. */
  close(deadlineMs: number): Promise<void> {
    return this.#listener.close(deadlineMs, () =>
      this.#stopped.abort(new CabstandError('DRAINING', 'this gateway stops: another one goes on')),
    );
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const gone = callerGone(response);
    const headers = this.#cors.headers(request);
    let entered: Entered | undefined;
    let out: EventWriter | undefined;
    let format = OWN_FORMAT;
    const { keepAliveMs, stallMs } = this.#options;
    try {
      this.#cors.check(request);
      if (request.method === 'OPTIONS') {
        response.writeHead(204, { ...headers, ...this.#cors.preflight() }).end();
        return;
      }
      const route = routeOf(request.method, pathOf(request));
      ({ format = OWN_FORMAT } = route);
      const { errorText, retryMs } = format;
      out = new EventWriter(response, { headers, keepAliveMs, stallMs, errorText, retryMs });
      entered = await this.#gate.enter(route.info, request);
      const answer = await this.#run(route, request, entered, out, gone);
      if (answer === undefined) {
        if (!response.writableEnded) out.end();
      } else {
        sendAnswer(request, response, jsonAnswer(200, headers, answer));
      }
      entered.finished();
    } catch (thrown) {
      const error = publicError(thrown);
      entered?.finished(error);
      if (out?.begun === true) out.end(error);
      else {
        const withError = { ...headers, ...errorHeaders(error) };
        const told = jsonAnswer(httpStatus(error), withError, format.errorJson(error));
        sendAnswer(request, response, told);
      }
    }
  }

  async #run(
    route: Route,
    request: IncomingMessage,
    entered: Entered,
    out: EventWriter,
    gone: AbortSignal,
  ): Promise<object | undefined> {
    const { handlers, serving, sessions, limits } = this.#options;
    const signal = AbortSignal.any([gone, entered.trusted, this.#stopped.signal]);
    const answer = await route.run({
      ...{ handlers, serving, sessions, out },
      call: callOf(route.info, entered, signal),
      lastEventId: request.headers['last-event-id'],
      body: async () => {
        // What browsers send without asking first is never this.
        const [type = ''] = (request.headers['content-type'] ?? '').split(';');
        if (type.trim().toLowerCase() !== 'application/json')
          throw invalid('INVALID_ARGUMENT', 'content-type', type, 'application/json');
        const json = parseJson(await collectBody(request, limits.maxBodyBytes, signal));
        entered.messageReceived();
        return json;
      },
    });
    entered.messageSent();
    return answer;
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => socket.destroy());
    try {
      this.#cors.check(request);
      if (pathOf(request) !== LIVE_PATH)
        throw invalid('INVALID_ARGUMENT', 'path', request.url, LIVE_PATH);
      if (this.#options.handlers.stopping.aborted)
        throw new CabstandError('DRAINING', 'this gateway is stopping: another one goes on');
    } catch (thrown) {
      refuse(socket, publicError(thrown));
      return;
    }
    this.#sockets.handleUpgrade(request, socket, head, (webSocket) => {
      const { handlers, keepAliveMs, firstMessageMs } = this.#options;
      void serveLiveCall(webSocket, request, {
        ...{ handlers, keepAliveMs, firstMessageMs },
        gate: this.#gate,
        stopped: this.#stopped.signal,
      });
    });
  }
}

function callOf(info: MethodInfo, entered: Entered, signal: AbortSignal): ServerCall {
  const { metadata, peer, principal, trace } = entered;
  return { info, metadata, peer, principal, trace, signal };
}

const pathOf = ({ url = '' }: IncomingMessage): string => url.split('?')[0] ?? '';

function jsonAnswer(
  status: number,
  headers: Readonly<Record<string, string>>,
  value: object,
): HttpAnswer {
  return {
    status,
    headers: { ...headers, 'content-type': 'application/json', 'cache-control': 'no-store' },
    body: Buffer.from(`${JSON.stringify(value)}\n`),
  };
}

/** Answers a request for a WebSocket that there will not be. */
function refuse(socket: Duplex, error: CabstandError): void {
  const body = JSON.stringify({ error: errorJson(error) });
  const head = [
    `HTTP/1.1 ${httpStatus(error)} ${error.reason}`,
    'content-type: application/json',
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
  ];
  // Nobody reads it: one that its caller keeps open would stay for ever.
  socket.once('finish', () => socket.destroy());
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}
