import type { ServerCredentials } from '@grpc/grpc-js';
import type { Authorizer, RpcServerKeepalive } from '@cabstand/rpc';
import { RpcServer } from '@cabstand/rpc';
import type { AuthConfig, TlsConfig } from '@cabstand/auth-admin';
import { AdminServer } from './admin';
import type { AdminPages } from './admin';
import { adminAccess } from './admin-access';
import type { AdminConfig } from './admin-access';
import { checkBind } from './bind';
import { callObservers } from './call-observers';
import { watchDescriptors } from './descriptors';
import { addHealth } from './health';
import type { PartsHealth } from './health';
import { exportKeyExpiry } from './metrics/expiry';
import { addReflection } from './reflection';
import { RefusalLog } from './refusal-log';
import type { ServiceContext } from './run';

/** The part of a service's configuration that serving reads: what `commonSections` declares. */
export interface ServeConfig {
  readonly listen: string;
  readonly admin: AdminConfig;
  readonly auth: AuthConfig;
  readonly tls?: TlsConfig | undefined;
  readonly rpc: {
    readonly max_message_bytes: number;
    readonly max_concurrent_streams: number;
    readonly max_concurrent_calls: number;
    readonly first_message_seconds: number;
    readonly max_concurrent_calls_per_principal?: number | undefined;
    readonly max_connections: number;
    readonly max_refusals_per_second: number;
    readonly max_refusals_per_connection: number;
  };
  readonly reflection: boolean;
  readonly open_health: boolean;
  readonly shutdown_seconds: number;
}

export interface ServeOptions {
  readonly authorizer: Authorizer;
  /** Default: no TLS. */
  readonly credentials?: ServerCredentials;
  /** Names of the services that `register` adds: `cabstand.v1.RouterService`. */
  readonly services: readonly string[];
  /** Adds the services. */
  readonly register: (server: RpcServer) => void;
  /** Health of parts of the service. Default: it has none. */
  readonly health?: PartsHealth;
  /** How connections are watched. Default: as a server does by itself. */
  readonly keepalive?: Partial<RpcServerKeepalive>;
  /** Pages of the admin port. Default: none. */
  readonly pages?: AdminPages | undefined;
}

export interface Serving {
  readonly server: RpcServer;
  /** Bound gRPC port. */
  readonly port: number;
  /** Bound admin HTTP port. */
  readonly adminPort: number;
}

/**
 * Binds the admin HTTP server and then the gRPC server of a service, with health, reflection, metrics
 * and the log of calls, and registers both for closing. Throws ADDRESS_IN_USE and CONFIG_INVALID.
 */
export async function serveRpc(
  context: ServiceContext<ServeConfig>,
  options: ServeOptions,
): Promise<Serving> {
  const { config, logger, metrics, readiness, closers } = context;
  checkBind(config.listen, config.auth, logger);
  const unwatch = watchDescriptors({ log: logger });
  closers.add('file descriptors', 100, () => {
    unwatch();
    return Promise.resolve();
  });
  const access = adminAccess(config.admin, config.tls, logger);
  const admin = new AdminServer({ metrics, readiness, access, pages: options.pages });
  closers.add('admin HTTP', 1000, () => admin.close());
  const adminPort = await admin.listen(config.admin.listen);

  const refusals = new RefusalLog(logger);
  closers.add('log of refusals', 100, () => {
    refusals.flush();
    return Promise.resolve();
  });
  const server = new RpcServer({
    authorizer: options.authorizer,
    ...(options.credentials === undefined ? {} : { credentials: options.credentials }),
    bindPrincipal: config.tls?.bind_principal ?? false,
    limits: {
      maxMessageBytes: config.rpc.max_message_bytes,
      maxConcurrentStreams: config.rpc.max_concurrent_streams,
      maxConcurrentCalls: config.rpc.max_concurrent_calls,
      ...(config.rpc.max_concurrent_calls_per_principal === undefined
        ? {}
        : { maxConcurrentCallsPerPrincipal: config.rpc.max_concurrent_calls_per_principal }),
      firstMessageMs: Math.ceil(config.rpc.first_message_seconds * 1000),
      maxConnections: config.rpc.max_connections,
      maxRefusalsPerSecond: config.rpc.max_refusals_per_second,
      maxRefusalsPerConnection: config.rpc.max_refusals_per_connection,
    },
    ...(options.keepalive === undefined ? {} : { keepalive: options.keepalive }),
    observers: callObservers(context, refusals),
    onStranger: (peer, refused) =>
      refusals.refused('UNAUTHENTICATED', () => ({
        peer,
        refused,
        message: 'connection closed: none of its calls proved who it is from',
      })),
  });
  metrics.bounded(
    {
      name: 'cabstand_rpc_open_calls',
      help: 'gRPC calls that are open now, over all connections; a stream counts as one.',
    },
    () => server.openCalls,
    config.rpc.max_concurrent_calls,
    'gRPC calls that may be open at once (rpc.max_concurrent_calls); more are refused with RATE_LIMITED.',
  );
  exportKeyExpiry(metrics, config.auth);
  options.register(server);
  const open = config.open_health;
  addHealth(server, readiness, options.services, {
    open,
    stopping: context.stopping,
    parts: options.health,
  });
  if (config.reflection)
    addReflection(server, [...options.services, 'grpc.health.v1.Health'], { open });
  const deadlineMs = config.shutdown_seconds * 1000;
  closers.add('gRPC', deadlineMs + 1000, () => server.shutdown(deadlineMs));
  const port = await server.listen(config.listen);
  logger.info({ port, adminPort }, 'listening');
  return { server, port, adminPort };
}
