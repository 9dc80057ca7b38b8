import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { SecureContextOptions } from 'node:tls';
import { listenOn } from '@cabstand/rpc';

export interface HttpTls {
  readonly context: SecureContextOptions;
  /** Connections without a certificate that the context's authorities signed are cut. */
  readonly requireClientCert: boolean;
}

export interface HttpListenerOptions {
  readonly maxConnections: number;
  /** Default: plain HTTP. */
  readonly tls?: HttpTls | undefined;
}

const TIMES = {
  maxHeaderSize: 16 * 1024,
  headersTimeout: 10_000,
  /** For a whole request to arrive. */
  requestTimeout: 60_000,
  keepAliveTimeout: 60_000,
  connectionsCheckingInterval: 1000,
} as const;

/** The port of an HTTP door: bounded in connections and times, with TLS whose certificate can change. */
export class HttpListener {
  readonly server: Server;

  constructor(
    { maxConnections, tls }: HttpListenerOptions,
    handle: (request: IncomingMessage, response: ServerResponse) => void,
  ) {
    this.server =
      tls === undefined
        ? createServer(TIMES, handle)
        : createSecureServer(
            {
              ...TIMES,
              ...tls.context,
              requestCert: tls.requireClientCert,
              rejectUnauthorized: tls.requireClientCert,
            },
            handle,
          );
    this.server.maxConnections = maxConnections;
  }

  /** For a certificate that has changed. */
  setTls(context: SecureContextOptions): void {
    if ('setSecureContext' in this.server)
      (this.server as ReturnType<typeof createSecureServer>).setSecureContext(context);
  }

  /** Binds `host:port`, answers the port. Throws ADDRESS_IN_USE or CONFIG_INVALID. */
  listen(address: string): Promise<number> {
    return listenOn(this.server, address);
  }

  /**
   * Takes no new requests, waits for those that run, and after `deadlineMs` cuts them.
   *
   * @param cutting called before connections are cut
   */
  close(deadlineMs: number, cutting: () => void): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        cutting();
        this.server.closeAllConnections();
      }, deadlineMs);
      this.server.close(() => {
        clearTimeout(timer);
        resolve();
      });
      this.server.closeIdleConnections();
    });
  }
}
