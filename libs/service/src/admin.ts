import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { bindError, splitAddress } from '@cabstand/rpc';
import type { Metrics } from './metrics/metrics';
import type { Readiness } from './readiness';

export interface AdminOptions {
  readonly metrics: Metrics;
  readonly readiness: Readiness;
}

interface Answer {
  readonly status: number;
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

/** The admin HTTP server: /metrics, /healthz (the process lives), /readyz (it takes work). Reads only. */
export class AdminServer {
  readonly #server: Server;
  readonly #options: AdminOptions;

  constructor(options: AdminOptions) {
    this.#options = options;
    this.#server = createServer(LIMITS, (request, response) => {
      this.#answer(request).then(
        (answer) => send(request, response, answer),
        () => send(request, response, text(500, 'failed')),
      );
    });
    this.#server.maxConnections = MAX_CONNECTIONS;
    this.#server.maxRequestsPerSocket = 1000;
  }

  /** Binds `host:port`, answers the port. Throws ADDRESS_IN_USE or CONFIG_INVALID. */
  listen(address: string): Promise<number> {
    const { host, port } = splitAddress(address);
    return new Promise((resolve, reject) => {
      // Once it listens: a connection that could not be taken, for want of file descriptors.
      this.#server.on('error', (cause) => reject(bindError(address, cause)));
      this.#server.listen(port, host, () => {
        const bound = this.#server.address();
        resolve(typeof bound === 'object' && bound !== null ? bound.port : 0);
      });
    });
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  async #answer(request: IncomingMessage): Promise<Answer> {
    if (request.method !== 'GET' && request.method !== 'HEAD')
      return text(405, 'only GET and HEAD');
    const { metrics, readiness } = this.#options;
    switch ((request.url ?? '').split('?')[0]) {
      case '/metrics':
        return { status: 200, type: metrics.registry.contentType, body: await metrics.render() };
      case '/healthz':
        return json(200, { live: true });
      case '/readyz':
        return json(readiness.ready ? 200 : 503, {
          ready: readiness.ready,
          reasons: readiness.reasons,
        });
      default:
        return text(404, 'there are /metrics, /healthz and /readyz');
    }
  }
}

function text(status: number, body: string): Answer {
  return { status, type: 'text/plain; charset=utf-8', body: `${body}\n` };
}

function json(status: number, body: object): Answer {
  return { status, type: 'application/json', body: `${JSON.stringify(body)}\n` };
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
    ...(bare === undefined ? {} : { connection: 'close' }),
  });
  response.end(request.method === 'HEAD' ? undefined : body);
}
