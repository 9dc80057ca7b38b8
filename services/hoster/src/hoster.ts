import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { CabstandError, every, systemClock } from '@cabstand/core';
import { channelCredentials, serverCredentials } from '@cabstand/auth';
import {
  createClientAuthorizer,
  createSealer,
  authWarnings,
  createServerAuthorizer,
  createTicketVerifier,
} from '@cabstand/auth-admin';
import { runtimeVersion } from '@cabstand/engine';
import {
  INFERENCE_SERVICE,
  InferenceService,
  inferenceHandlers,
  openInference,
  serveInferenceHttp,
} from '@cabstand/doors';
import { HosterService, RpcClient } from '@cabstand/rpc';
import {
  certificateExpiry,
  openAuditLog,
  packageVersion,
  retiredKeyUse,
  serveRpc,
} from '@cabstand/service';
import type { ServeOptions, ServiceContext, Subjects } from '@cabstand/service';
import type { ModelHost } from './models/model-host';
import type { HosterConfig } from './config';
import type { Observe } from '@cabstand/sessions';
import { defaultCache, usableCache } from './models/verification-cache';
import { HosterServing } from './doors/serving';
import { hosterHandlers } from './handlers';
import type { HandlerContext } from './handlers';
import type { NodeIdentity } from '@cabstand/hosting';
import { machineMemory } from './engines/options';
import { engineMetrics } from './metrics/engine-metrics';
import { sessionMetrics } from './metrics/session-metrics';
import { stateMetrics } from './metrics/state-metrics';
import { openModelHost } from './models/host';
import { someServe } from './models/started';
import { PaceMeter } from './presence/pace';
import { Presence } from './presence/presence';
import { rehearse } from './rehearsal/rehearse';
import { sessionAudit } from './audit';
import { sessionLog } from './session-log';
import { turnSpans } from './tracing/turn-spans';
import { Sessions } from '@cabstand/sessions';

/** Beyond the deadline of a stop: to freeze sessions and to deliver what they have left. */
const CLOSE_MARGIN_MS = 3500;
/** How often consumers that wait for a record hear that there is life. */
const PROGRESS_MS = 1000;
const SERVICE = 'cabstand.v1.HosterService';

/** Starts a hoster: models, sessions, server, presence. What it opens it registers for closing. */
export async function startHoster(context: ServiceContext<HosterConfig>): Promise<void> {
  const { config, logger, metrics, readiness, closers } = context;
  readiness.missing('models', 'models are loading');
  const advertised = advertisedAddress(config);
  const version = packageVersion(path.join(__dirname, '..'));
  metrics.build({ version, onnxruntime: runtimeVersion() });
  const models = metrics.subjects('model');
  const host = await openHost(context, models);
  closers.add('engines', 10_000, () => host.stop());

  const audit = openAuditLog(context, config.audit, 'hoster');
  const pace = new PaceMeter(systemClock);
  const watching: Observe[] = [
    pace.observe,
    sessionMetrics(metrics, models),
    sessionLog(logger),
    sessionAudit(audit),
    ...(context.tracer === undefined ? [] : [turnSpans(context.tracer)]),
  ];
  const sealer = createSealer(config.auth, { onWarning: (message) => logger.warn(message) });
  const sessions = new Sessions({
    host,
    clock: systemClock,
    observe: (event) => watching.forEach((observe) => observe(event)),
    sealer,
    options: sessionOptions(config),
    onDrained: () => context.end('drained: the last session has left'),
  });

  const progress = every(systemClock, PROGRESS_MS, () => sessions.tellProgress());
  closers.add('progress', 100, () => {
    progress.cancel();
    return Promise.resolve();
  });

  for (const warning of authWarnings(config.auth)) logger.warn(warning);
  const incarnation = randomUUID();
  let address = advertised ?? config.listen;
  const identity = (): NodeIdentity => ({
    nodeId: config.node_id ?? address,
    incarnation,
    version,
  });
  let presence: Presence | undefined = undefined as Presence | undefined;
  const authorizer = createServerAuthorizer(config.auth, {
    audiences: () => [config.listen, address],
    onKey: retiredKeyUse(metrics),
    onProblem: ({ reason, message }) =>
      logger.warn({ reason }, `${message}; the keys read before stay in force`),
  });
  const handlers: HandlerContext = {
    sessions,
    host,
    audit,
    get identity() {
      return identity();
    },
    tickets: createTicketVerifier(config.auth),
    leaseConsumed: (leaseId) => presence?.leaseConsumed(leaseId),
    limits: { maxMessageBytes: config.rpc.max_message_bytes },
    unloadDeadlineMs: config.replace_drain_seconds * 1000,
  };
  const inference = openInference(context, new HosterServing(handlers));
  const { port } = await serveRpc(context, {
    authorizer,
    credentials: serverCredentials(config.tls, {
      onWarning: (message) => logger.warn(message),
      onCertificate: certificateExpiry(metrics),
    }),
    services: config.inference.grpc ? [SERVICE, INFERENCE_SERVICE] : [SERVICE],
    health: modelHealth(host),
    register: (server) => {
      server.addService(HosterService, hosterHandlers(handlers));
      if (config.inference.grpc) server.addService(InferenceService, inferenceHandlers(inference));
    },
  });
  if (advertised === undefined) address = withPort(config.listen, port);
  await serveInferenceHttp(context, inference, authorizer);

  presence = new Presence(
    config.routers.map((router) => ({
      connect: (keepaliveMs: number) =>
        new RpcClient(router, {
          authorizer: createClientAuthorizer(config.auth),
          credentials: channelCredentials(config.tls),
          keepalive: { timeMs: keepaliveMs },
        }),
      identity: identity(),
      advertise: address,
      source: {
        host,
        sessions,
        lagSeconds: (reader) => metrics.lag.take(reader).p99Seconds,
        pace: (reader, model) => pace.take(reader, model),
      },
      clock: systemClock,
      log: logger,
      onDrain: (deadlineMs) => {
        if (sessions.openness.kind !== 'open') return;
        logger.info({ deadline_ms: deadlineMs }, 'a router asks this hoster to drain');
        sessions.drain(deadlineMs ?? config.replace_drain_seconds * 1000);
        readiness.missing('drain', 'draining: a router asked for it');
      },
      onUndrain: () => {
        if (!sessions.undrain()) return;
        logger.info('a router has taken the drain back');
        readiness.present('drain');
        presence?.opennessChanged();
      },
    })),
  );
  watching.push(presence.observe);
  const routers = presence;
  closers.add('presence', 3000, () => routers.stop('the hoster stops'));
  closers.add('sessions', config.shutdown_seconds * 1000 + CLOSE_MARGIN_MS, async () => {
    const stopped = sessions.stop(config.shutdown_seconds * 1000);
    routers.opennessChanged();
    const cut = await stopped;
    if (cut > 0) logger.warn({ turns: cut }, 'turns were still running at the deadline');
  });
  stateMetrics(metrics, models, sessions, host, routers);

  const patienceMs = config.start_wait_seconds * 1000;
  await (config.strict ? host.settled() : someServe(host, patienceMs, systemClock));
  const messageBytes = config.rpc.max_message_bytes;
  await rehearse({ host, sealer, messageBytes, log: logger, signal: context.stopping });
  if (context.stopping.aborted) return;
  followModels(context, host);
  routers.start();
  logger.info(
    {
      ...identity(),
      advertise: address,
      models: host
        .models()
        .filter(({ status }) => status.state === 'ready')
        .map((model) => `${model.name}@${model.version} (${model.provider ?? 'no provider'})`),
    },
    'hoster is up',
  );
}

/** Each model under a name of its own: `cabstand.v1.HosterService/silero-vad`. */
function modelHealth(host: ModelHost): NonNullable<ServeOptions['health']> {
  return {
    parts: () => {
      const parts = new Map<string, boolean>();
      for (const { name, status } of host.models()) {
        const part = `${SERVICE}/${name}`;
        // Of several versions one that serves is enough.
        parts.set(part, status.state === 'ready' || parts.get(part) === true);
      }
      for (const { name } of host.broken()) parts.set(`${SERVICE}/${name}`, false);
      return parts;
    },
    onChange: (listener) => host.onChange(listener),
  };
}

/** Ready while any model serves; one whose engine is being restarted counts. */
function followModels({ readiness, closers }: ServiceContext<HosterConfig>, host: ModelHost): void {
  const look = (): void => {
    const some = host
      .models()
      .some(({ status: { state } }) => state === 'ready' || state === 'loading');
    if (some) readiness.present('models');
    else readiness.missing('models', 'no model can be served');
  };
  look();
  const unsubscribe = host.onChange(look);
  closers.add('model watch', 100, () => {
    unsubscribe();
    return Promise.resolve();
  });
}

async function openHost(
  context: ServiceContext<HosterConfig>,
  models: Subjects,
): Promise<ModelHost> {
  const { config, logger } = context;
  const { engines, limits, rpc } = config;
  try {
    return await openModelHost({
      repositories: config.models,
      ...(config.only.length === 0 ? {} : { only: config.only }),
      strict: config.strict,
      drainMs: config.replace_drain_seconds * 1000,
      engines: {
        cores: engines.cores,
        threads: engines.threads,
        nice: engines.nice,
        spares: engines.spares,
        ...(engines.max_memory_bytes === undefined
          ? {}
          : { maxMemoryBytes: engines.max_memory_bytes }),
        sessionsPerModel: limits.max_sessions_per_model,
        sequencesPerModel: limits.max_sessions,
        maxStateBytes: limits.max_state_bytes,
        maxMessageBytes: rpc.max_message_bytes,
        stallMs: Math.ceil(engines.stall_seconds * 1000),
        loadTimeoutMs: Math.ceil(engines.load_timeout_seconds * 1000),
        restartMs: Math.ceil(engines.restart_seconds * 1000),
        crashes: engines.crashes,
        auditShare: engines.audit_share,
        runtime: engines.runtime,
        sandbox: engines.sandbox,
        environment: engines.environment,
        verificationCache: await usableCache(
          engines.verification_cache ?? defaultCache(process.env),
          logger,
        ),
      },
      log: logger,
      observer: engineMetrics(models),
      ...(engines.socket_folder === undefined ? {} : { socketParent: engines.socket_folder }),
    });
  } catch (error) {
    const { reason, message, metadata } = CabstandError.from(error);
    if (reason !== 'INVALID_ARGUMENT') throw error;
    throw new CabstandError('CONFIG_INVALID', message, { metadata, cause: error });
  }
}

/** Of the memory there is: engines and what is on its way need the rest. */
const HELD_SHARE = 0.4;

function sessionOptions({
  limits,
  rpc,
}: HosterConfig): ConstructorParameters<typeof Sessions>[0]['options'] & object {
  return {
    journalRecords: limits.journal_records,
    journalBytes: limits.journal_bytes,
    journalCommands: limits.journal_commands,
    journalCommandBytes: limits.journal_command_bytes,
    messageBytes: rpc.max_message_bytes,
    liveParts: limits.live_parts,
    liveBytes: limits.live_bytes,
    maxSessions: limits.max_sessions,
    maxSessionsPerPrincipal: Math.min(limits.max_sessions_per_principal, limits.max_sessions),
    maxHeldBytes: limits.max_held_bytes ?? Math.floor(machineMemory() * HELD_SHARE),
    resumeHeadroom: limits.resume_headroom,
    queueLength: limits.queue_length,
    queueWaitMs: Math.ceil(limits.queue_wait_seconds * 1000),
    orphanTimeoutMs: Math.ceil(limits.orphan_timeout_seconds * 1000),
    orphanMinMs: Math.ceil(limits.orphan_min_seconds * 1000),
    idleTimeoutMs: Math.ceil(limits.idle_timeout_seconds * 1000),
    liveIdleTimeoutMs: Math.ceil(limits.live_idle_timeout_seconds * 1000),
    viewers: limits.viewers,
    viewerBytes: limits.viewer_bytes,
    maxPriority: limits.max_priority,
    closeTimeoutMs: Math.ceil(limits.close_timeout_seconds * 1000),
    endedRemembered: limits.ended_remembered,
    replayMs: Math.ceil(limits.replay_seconds * 1000),
    snapshotRecords: limits.snapshot_records,
    snapshotMs: Math.ceil(limits.snapshot_seconds * 1000),
    rebuildMs: Math.ceil(limits.rebuild_seconds * 1000),
    movesPerSecond: limits.moves_per_second,
  };
}

const WILDCARDS = new Set(['0.0.0.0', '[::]', '*']);

/** What clients dial, where that is known before listening. Nobody can dial a wildcard. */
function advertisedAddress(config: HosterConfig): string | undefined {
  if (config.advertise !== undefined) return config.advertise;
  const host = config.listen.slice(0, config.listen.lastIndexOf(':'));
  if (WILDCARDS.has(host) && config.routers.length > 0)
    throw new CabstandError(
      'CONFIG_INVALID',
      `advertise: got nothing, expected host:port: clients cannot dial ${config.listen}`,
      { metadata: { field: 'advertise' } },
    );
  return config.listen.endsWith(':0') ? undefined : config.listen;
}

function withPort(listen: string, port: number): string {
  return `${listen.slice(0, listen.lastIndexOf(':'))}:${port}`;
}
