import type { SecureContextOptions } from 'node:tls';
import { serverTls } from '@cabstand/auth';
import type { CallObserver } from '@cabstand/rpc';
import { checkBind } from './bind';
import { callObservers } from './call-observers';
import { RefusalLog } from './refusal-log';
import type { ServiceContext } from './run';
import type { ServeConfig } from './serve';

/** A server of HTTP that callers of a service use beside gRPC. */
export interface HttpDoor {
  /** Binds `host:port`, answers the port. */
  listen(address: string): Promise<number>;
  /** For a certificate that has changed. */
  setTls(tls: SecureContextOptions): void;
  /** Takes no new requests, and after `deadlineMs` ends those that run. */
  close(deadlineMs: number): Promise<void>;
}

/** What such a server has in common with the gRPC server of its service. */
export interface HttpDoorParts {
  readonly observers: readonly CallObserver[];
  readonly limits: {
    readonly maxMessageBytes: number;
    readonly maxConnections: number;
    readonly maxConcurrentCalls: number;
    readonly maxConcurrentCallsPerPrincipal: number;
  };
  /** Credentials count only over a connection whose certificate names their principal. */
  readonly bindPrincipal: boolean;
  /** Undefined: plain HTTP. */
  readonly tls:
    { readonly context: SecureContextOptions; readonly requireClientCert: boolean } | undefined;
}

/**
 * Binds a server of HTTP with the limits, the certificate, the metrics and the log of the gRPC server, and
 * registers it for closing. Throws ADDRESS_IN_USE and CONFIG_INVALID.
 *
 * @param name for the log: `open inference over HTTP`
 */
export async function serveHttp(
  context: ServiceContext<ServeConfig>,
  name: string,
  listen: string,
  make: (parts: HttpDoorParts) => HttpDoor,
): Promise<void> {
  const { config, closers, logger } = context;
  checkBind(listen, config.auth, logger);
  const tls = config.tls === undefined ? undefined : serverTls(config.tls);
  const { rpc } = config;
  const refusals = new RefusalLog(logger);
  closers.add(`log of refusals, ${name}`, 100, () => {
    refusals.flush();
    return Promise.resolve();
  });
  const door = make({
    observers: callObservers(context, refusals),
    limits: {
      maxMessageBytes: rpc.max_message_bytes,
      maxConnections: rpc.max_connections,
      maxConcurrentCalls: rpc.max_concurrent_calls,
      maxConcurrentCallsPerPrincipal:
        rpc.max_concurrent_calls_per_principal ?? Math.ceil(rpc.max_concurrent_calls / 2),
    },
    bindPrincipal: config.tls?.bind_principal ?? false,
    tls: tls && {
      context: tls.current.options,
      requireClientCert: config.tls?.require_client_cert ?? false,
    },
  });
  const watching = tls?.watch((changed) => door.setTls(changed.options));
  const deadlineMs = config.shutdown_seconds * 1000;
  closers.add(name, deadlineMs + 1000, async () => {
    watching?.cancel();
    await door.close(deadlineMs);
  });
  const http_port = await door.listen(listen);
  logger.info({ http_port, tls: tls !== undefined }, `${name} is up`);
}
