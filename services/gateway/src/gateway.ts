import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { channelCredentials, serverCredentials } from '@cabstand/auth';
import { authWarnings, createClientAuthorizer, createServerAuthorizer } from '@cabstand/auth-admin';
import { RemoteManager } from '@cabstand/client';
import { GrpcProtocol } from '@cabstand/client/protocol';
import type { ConnectionOptions } from '@cabstand/client/protocol';
import { CabstandError, sleep, systemClock } from '@cabstand/core';
import {
  INFERENCE_SERVICE,
  InferenceService,
  inferenceHandlers,
  openInference,
  serveInferenceHttp,
} from '@cabstand/doors';
import { HosterService, RpcClientPool } from '@cabstand/rpc';
import { certificateExpiry, packageVersion, retiredKeyUse, serveRpc } from '@cabstand/service';
import type { ServiceContext } from '@cabstand/service';
import { Callers } from './callers';
import type { GatewayConfig } from './config';
import { gatewayHandlers } from './handlers';
import type { HandlerContext } from './handlers';
import { HeldSessions } from './held-sessions';
import { serveSessionsOverHttp } from './http/serve';
import { GatewayServing } from './inference/serving';
import { gatewayMetrics } from './metrics';

/** How often it is looked whether the last stream has ended, while the gateway stops. */
const LOOK_MS = 50;
/** For the last answers to arrive. */
const LAST_WORDS_MS = 250;
/** Beyond the deadline of a stop: for sessions to be let go of. */
const CLOSE_MARGIN_MS = 3000;

/** Starts a gateway: a client of the subnet, and a server of the same contract. */
export async function startGateway(context: ServiceContext<GatewayConfig>): Promise<void> {
  const { config, logger, metrics, closers, stopping } = context;
  const { auth, limits, rpc } = config;
  const onProblem = ({ reason, message }: CabstandError): void =>
    logger.warn({ reason }, `${message}; the keys read before stay in force`);
  for (const warning of authWarnings(auth)) logger.warn(warning);
  const version = packageVersion(path.join(__dirname, '..'));
  metrics.build({ version, onnxruntime: '' });
  if (auth.mode === 'keys' && auth.key === undefined)
    throw new CabstandError(
      'CONFIG_INVALID',
      'auth.key: got nothing, expected a key file: a gateway speaks for its callers with its own key',
      { metadata: { field: 'auth.key' } },
    );

  const connection: ConnectionOptions = {
    authorizer: createClientAuthorizer(auth, { onProblem }),
    credentials: channelCredentials(config.tls, {
      onWarning: (message) => logger.warn(message),
    }),
    maxMessageBytes: rpc.max_message_bytes,
    maxConnections: limits.max_connections_to_hosters,
  };
  const remote = new RemoteManager({
    ...connection,
    routers: config.routers,
    hosters: config.hosters,
  });
  remote.on('routerLost', ({ reason, message }) => logger.warn({ reason }, message));
  const hosters = new RpcClientPool({
    ...connection,
    connectTimeoutMs: CONNECT_MS,
  });
  const named = auth.mode === 'keys';
  const callers = new Callers(remote, new GrpcProtocol(hosters), {
    named,
    maxSessions: limits.max_sessions_per_principal,
    timeouts: timeoutsOf(config),
  });
  closers.add('connections', CLOSE_MARGIN_MS, async () => {
    await callers.close();
    hosters.close();
  });
  const sessions: HeldSessions = new HeldSessions(
    callers,
    {
      maxSessions: limits.max_sessions,
      maxPerPrincipal: Math.min(limits.max_sessions_per_principal, limits.max_sessions),
      idleMs: Math.ceil(limits.idle_timeout_seconds * 1000),
    },
    systemClock,
    stopping,
    gatewayMetrics(metrics, () => sessions.size, limits.max_sessions),
  );
  closers.add('sessions', CLOSE_MARGIN_MS, () => sessions.stop());

  let address = config.listen;
  const incarnation = randomUUID();
  const httpPorts = [config.http.listen, config.inference.http_listen].filter(
    (listen) => listen !== undefined,
  );
  const authorizer = createServerAuthorizer(auth, {
    audiences: () => [address, ...httpPorts],
    onKey: retiredKeyUse(metrics),
    onProblem,
  });
  const handlers: HandlerContext = {
    ...{ callers, sessions, remote, hosters, named, stopping },
    get identity() {
      return { nodeId: config.node_id ?? address, incarnation, version };
    },
    limits: {
      maxMessageBytes: rpc.max_message_bytes,
      maxSessions: limits.max_sessions,
      maxSessionsPerPrincipal: limits.max_sessions_per_principal,
    },
  };
  const serving = new GatewayServing(handlers, systemClock);
  const inference = openInference(context, serving);
  const { port, server } = await serveRpc(context, {
    authorizer,
    credentials: serverCredentials(config.tls, {
      onWarning: (message) => logger.warn(message),
      onCertificate: certificateExpiry(metrics),
    }),
    services: config.inference.grpc ? [SERVICE, INFERENCE_SERVICE] : [SERVICE],
    register: (server) => {
      server.addService(HosterService, gatewayHandlers(handlers));
      if (config.inference.grpc) server.addService(InferenceService, inferenceHandlers(inference));
    },
  });
  address = withPort(config.listen, port);
  await serveInferenceHttp(context, inference, authorizer);
  const deadlineMs = config.shutdown_seconds * 1000;
  // Closed first: the server cuts connections once it is told to stop.
  closers.add('streams', deadlineMs + CLOSE_MARGIN_MS, async () => {
    const until = systemClock.monotonic() + deadlineMs;
    while (server.openCalls > 0 && systemClock.monotonic() < until) await sleep(LOOK_MS);
    if (server.openCalls > 0) logger.warn({ calls: server.openCalls }, 'cut at the deadline');
    await sleep(LAST_WORDS_MS);
  });
  await serveSessionsOverHttp(context, handlers, serving, authorizer);
  await remote.nodes(stopping).catch((thrown: unknown) => {
    // It may come up before its routers.
    const { reason, message } = CabstandError.from(thrown);
    if (!stopping.aborted) logger.warn({ reason }, message);
  });
  logger.info({ address, nodes: remote.knownNodes.length }, 'gateway is up');
}

const CONNECT_MS = 3000;
const SERVICE = 'cabstand.v1.HosterService';

function timeoutsOf({ timeouts }: GatewayConfig) {
  return {
    placeMs: timeouts.place_seconds * 1000,
    firstMs: timeouts.first_seconds * 1000,
    stallMs: timeouts.stall_seconds * 1000,
    recoverMs: timeouts.recover_seconds * 1000,
  };
}

function withPort(address: string, port: number): string {
  return `${address.slice(0, address.lastIndexOf(':'))}:${port}`;
}
