import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { Socket } from 'node:net';
import type { Timer } from '@cabstand/core';
import { listenOn } from '@cabstand/rpc';
import type { AdminAccess } from './admin-access';
import type { Metrics } from './metrics/metrics';
import type { Readiness } from './readiness';

export interface AdminOptions {
  readonly metrics: Metrics;
  readonly readiness: Readiness;
  /** Default: plain HTTP that everybody may read. */
  readonly access?: AdminAccess;
  /** What else the service serves there. Default: nothing. */
  readonly pages?: AdminPages | undefined;
}

/** Pages of a service beside metrics and health. They let callers in, or refuse them, themselves. */
export interface AdminPages {
  /** The first part of their paths: `/console`. */
  readonly path: string;
  /** Answers a request under that path. Never throws. */
  serve(request: IncomingMessage, response: ServerResponse): void;
}

interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly type: string;
  readonly body: string;
}

const LIMITS = {
  maxHeaderSize: 8 * 1024,
  headersTimeout: 5000,
  requestTimeout: 5000,
  keepAliveTimeout: 5000,
  connectionsCheckingInterval: 1000,
} as const;
const MAX_CONNECTIONS = 100;

/**
 * The admin HTTP server: /metrics, /healthz (the process lives), /readyz (it takes work), and the pages that a
 * service has. But for those it reads only: where there is a token, whoever lacks it learns whether the service
 * lives and is ready, and nothing else.
 */
export class AdminServer {
  readonly #server: Server;
  readonly #options: AdminOptions;
  readonly #sockets = new Set<Socket>();
  #watching: Timer | undefined;

  constructor(options: AdminOptions) {
    this.#options = options;
    this.#server = this.#create((request, response) => {
      const { pages } = options;
      if (pages !== undefined && isUnder(pages.path, request.url)) {
        pages.serve(request, response);
        return;
      }
      this.#answer(request).then(
        (answer) => send(request, response, answer),
        () => send(request, response, text(500, 'failed')),
      );
    });
    // Node knows of a TLS connection when its handshake is over.
    this.#server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
    this.#server.maxConnections = MAX_CONNECTIONS;
    this.#server.maxRequestsPerSocket = 1000;
  }

  /** Binds `host:port`, answers the port. Throws ADDRESS_IN_USE or CONFIG_INVALID. */
  listen(address: string): Promise<number> {
    return listenOn(this.#server, address);
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#watching?.cancel();
      this.#server.close(() => resolve());
      for (const socket of this.#sockets) socket.destroy();
    });
  }

  #create(handle: (request: IncomingMessage, response: ServerResponse) => void): Server {
    const tls = this.#options.access?.tls;
    if (tls === undefined) return createServer(LIMITS, handle);
    const { options } = tls.current;
    const server = createSecureServer({ ...LIMITS, ...options, handshakeTimeout: 5000 }, handle);
    this.#watching = tls.watch((changed) => server.setSecureContext(changed.options));
    return server;
  }

  async #answer(request: IncomingMessage): Promise<Answer> {
    if (request.method !== 'GET' && request.method !== 'HEAD')
      return text(405, 'only GET and HEAD');
    const { metrics, readiness, access } = this.#options;
    const { ready, reasons } = readiness;
    const trusted = access?.token?.admits(request.headers.authorization) ?? true;
    switch ((request.url ?? '').split('?')[0]) {
      case '/metrics':
        if (!trusted) return unauthorized(request.headers.authorization !== undefined);
        return { status: 200, type: metrics.registry.contentType, body: await metrics.render() };
      case '/healthz':
        return json(200, { live: true });
      case '/readyz':
        return json(ready ? 200 : 503, trusted ? { ready, reasons } : { ready });
      default:
        return text(404, 'there are /metrics, /healthz and /readyz');
    }
  }
}

function isUnder(folder: string, url = ''): boolean {
  return url === folder || (url.startsWith(folder) && '/?'.includes(url.charAt(folder.length)));
}

function text(status: number, body: string): Answer {
  return { status, type: 'text/plain; charset=utf-8', body: `${body}\n` };
}

function json(status: number, body: object): Answer {
  return { status, type: 'application/json', body: `${JSON.stringify(body)}\n` };
}

/** RFC 6750, section 3: the error is named only where credentials were given. */
function unauthorized(given: boolean): Answer {
  const challenge = `Bearer realm="cabstand"${given ? ', error="invalid_token"' : ''}`;
  return {
    ...text(401, given ? 'not the token of admin.token_file' : 'admin.token_file has the token'),
    headers: { 'www-authenticate': challenge },
  };
}

function send(request: IncomingMessage, response: ServerResponse, answer: Answer): void {
  const { status, type, body } = answer;
  // A request that brings a body is not read: its connection ends with the answer.
  const bare = request.headers['content-length'] ?? request.headers['transfer-encoding'];
  response.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...answer.headers,
    ...(bare === undefined ? {} : { connection: 'close' }),
  });
  response.end(request.method === 'HEAD' ? undefined : body);
}
