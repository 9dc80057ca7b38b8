import path from 'node:path';
import { channelCredentials, serverCredentials } from '@cabstand/auth';
import {
  createClientAuthorizer,
  authWarnings,
  createServerAuthorizer,
  createTicketSigner,
} from '@cabstand/auth-admin';
import { abortReason, systemClock } from '@cabstand/core';
import type { CabstandError } from '@cabstand/core';
import { RouterService } from '@cabstand/rpc';
import {
  certificateExpiry,
  openAuditLog,
  packageVersion,
  retiredKeyUse,
  serveRpc,
} from '@cabstand/service';
import { configWarnings, limitsOf, routerConfigSchema } from './config';
import { createRouterCore } from './core';
import { routerHandlers } from './handlers/handlers';
import { startConsole } from './console/start';
import { Gateways } from './console/gateways';
import { Happenings } from './console/happenings';
import { tellAll } from './observer';
import { exportSizes, observe } from './observing';
import { allowance, isLoopback } from './probing/allowance';
import { GrpcProber } from './probing/grpc-prober';
import type { ServiceContext, ServiceProgram } from '@cabstand/service';
import type { RouterConfig } from './config';

/** Thousands of connections are open here, and hosters tell of themselves anyhow: pinged half as often as elsewhere. */
const KEEPALIVE_MS = 10_000;

/** The router as a service: configuration, credentials, server, core. */
export const routerProgram: ServiceProgram<typeof routerConfigSchema> = {
  name: 'cabstand router',
  summary: 'Keeps track of hosters and hands them out.',
  common: [
    'listen',
    'admin.listen',
    'auth.mode',
    'auth.keys',
    'auth.key',
    'auth.audiences',
    'tls.cert',
    'tls.key',
    'tls.ca',
    'log.level',
    'log.format',
  ],
  example: 'cabstand router --config router.yaml',
  service: 'router',
  schema: routerConfigSchema,
  start,
};

async function start(context: ServiceContext<RouterConfig>): Promise<void> {
  const { config, logger, metrics, stopping } = context;
  const { auth } = config;
  const onProblem = ({ reason, message }: CabstandError): void =>
    logger.warn({ reason }, `${message}; the keys read before stay in force`);
  let port = portOf(config.listen);
  const authorizer = createServerAuthorizer(auth, {
    audiences: () => [withPort(config.listen, port)],
    onKey: retiredKeyUse(metrics),
    onProblem,
  });
  const tlsOptions = {
    onWarning: (message: string) => logger.warn(message),
    onCertificate: certificateExpiry(metrics),
  };
  for (const warning of [...authWarnings(auth), ...configWarnings(config)]) logger.warn(warning);
  metrics.build({ version: packageVersion(path.join(__dirname, '..')), onnxruntime: '' });
  const local = auth.mode === 'none' || isLoopback(hostOf(config.listen));
  const allowed = allowance(config.nodes.allow, local);
  const prober = new GrpcProber(allowed, {
    authorizer: createClientAuthorizer(auth, { onProblem }),
    credentials: channelCredentials(config.tls, tlsOptions),
    connectTimeoutMs: Math.ceil(config.probes.timeout_seconds * 1000),
  });
  const audit = openAuditLog(context, config.audit, 'router');
  const happenings = new Happenings(systemClock);
  const gateways = new Gateways();
  const core = createRouterCore(limitsOf(config), {
    prober,
    allowed,
    observer: tellAll([observe(metrics, logger, audit), happenings.observer]),
  });
  exportSizes(metrics, core);
  // Before the server waits for open calls: watches and heartbeats would never end by themselves.
  const stop = (): void => {
    core.stop(abortReason(stopping));
  };
  stopping.addEventListener('abort', stop, { once: true });
  const handlers = routerHandlers({
    core,
    tickets: createTicketSigner(auth),
    clock: systemClock,
    audit,
    gateways,
    stopping,
    warn: (message, facts) => logger.warn(facts, message),
  });
  const serving = await serveRpc(context, {
    authorizer,
    credentials: serverCredentials(config.tls, tlsOptions),
    pages: startConsole(context, { core, happenings, gateways, authorizer, audit }),
    keepalive: { timeMs: KEEPALIVE_MS },
    services: ['cabstand.v1.RouterService'],
    register: (server) => server.addService(RouterService, handlers),
  });
  port = serving.port;
  logger.info({ incarnation: core.incarnation }, 'router started');
}

function portOf(address: string): number {
  return Number(address.slice(address.lastIndexOf(':') + 1));
}

function hostOf(address: string): string {
  return address.slice(0, address.lastIndexOf(':'));
}

function withPort(address: string, port: number): string {
  return `${hostOf(address)}:${port}`;
}
