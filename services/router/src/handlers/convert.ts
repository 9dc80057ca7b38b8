import { toDuration } from '@cabstand/rpc';
import type { v1 } from '@cabstand/rpc';
import type { Beat } from '../heartbeats';
import type { BeatAnswer } from '../registry/beat-stream';
import type { BatchClass, ModelCondition, Node, NodeLoad, Offer } from '../registry/node';
import type { Registration } from '../registry/validate';

/** The wire's words for the domain's, and back. Nothing is judged here. */

const BATCH_CLASS: Readonly<Partial<Record<string, BatchClass>>> = {
  BATCH_CLASS_UNSPECIFIED: 'unspecified',
  BATCH_CLASS_EXACT: 'exact',
  BATCH_CLASS_TOLERANCE: 'tolerance',
  BATCH_CLASS_UNBATCHED: 'unbatched',
};

const WIRE_BATCH_CLASS: Readonly<Record<BatchClass, v1.BatchClass__Output>> = {
  unspecified: 'BATCH_CLASS_UNSPECIFIED',
  exact: 'BATCH_CLASS_EXACT',
  tolerance: 'BATCH_CLASS_TOLERANCE',
  unbatched: 'BATCH_CLASS_UNBATCHED',
};

const MODEL_STATE: Readonly<Partial<Record<string, ModelCondition['state']>>> = {
  MODEL_STATE_LOADING: 'loading',
  MODEL_STATE_VERIFYING: 'verifying',
  MODEL_STATE_DRAINING: 'draining',
  MODEL_STATE_FAILED: 'failed',
};

const WIRE_MODEL_STATE: Readonly<Record<ModelCondition['state'], v1.ModelState__Output>> = {
  loading: 'MODEL_STATE_LOADING',
  verifying: 'MODEL_STATE_VERIFYING',
  draining: 'MODEL_STATE_DRAINING',
  failed: 'MODEL_STATE_FAILED',
  unspecified: 'MODEL_STATE_UNSPECIFIED',
};

function fromCondition({ name, version, state }: v1.ModelCondition__Output): ModelCondition {
  return { name, version, state: MODEL_STATE[state] ?? 'unspecified' };
}

function fromOffer(offer: v1.ModelOffer__Output): Offer {
  return {
    name: offer.name,
    version: offer.version,
    digest: offer.digest,
    // A value of a newer contract has no name here.
    batchClass: BATCH_CLASS[offer.batch_class] ?? 'unspecified',
    provider: offer.provider,
    capacity: offer.capacity,
    kind: offer.kind,
    reference: offer.reference,
  };
}

export function fromRegister(request: v1.RegisterRequest__Output): Registration {
  return {
    address: request.address,
    offers: request.models.map(fromOffer),
    others: request.other_models.map(fromCondition),
    version: request.version,
    incarnation: request.incarnation,
    nodeId: request.node_id,
  };
}

export function fromHeartbeat(request: v1.HeartbeatRequest__Output): Beat {
  return {
    nodeId: request.node_id,
    incarnation: request.incarnation,
    load: request.load === null ? undefined : fromLoad(request.load),
    consumedLeaseIds: request.consumed_lease_ids,
    sessionsOpened: request.sessions_opened.map(
      ({ session_id, epoch, principal, model, idle }) => ({
        sessionId: session_id,
        epoch,
        principal,
        model,
        idle,
      }),
    ),
    sessionsClosed:
      request.sessions_ended.length > 0
        ? request.sessions_ended.map(({ session_id, principal }) => ({
            sessionId: session_id,
            principal,
          }))
        : request.sessions_closed.map((sessionId) => ({ sessionId })),
    impairments: request.impairments,
    offers: request.models_changed ? request.models.map(fromOffer) : undefined,
    others: request.other_models.map(fromCondition),
    draining: request.draining,
  };
}

function fromLoad(load: v1.Load__Output): NodeLoad {
  return {
    models: load.models.map((model) => ({
      model: model.model,
      freeSlots: model.free_slots,
      resumeSlots: model.resume_slots,
      queueDepth: model.queue_depth,
      stepSeconds: model.step_seconds,
      recordsPerSecond: model.records_per_second,
      firstChunkSeconds: model.first_chunk_seconds,
    })),
    openSessions: load.open_sessions,
    eventLoopLagSeconds: load.event_loop_lag_seconds,
  };
}

export function toHeartbeat(answer: BeatAnswer, now: number): v1.HeartbeatResponse {
  return {
    reregister: answer.reregister,
    drain: answer.drain,
    undrain: answer.undrain,
    ...(answer.drainMs === undefined ? {} : { drain_deadline: toDuration(answer.drainMs) }),
    ...(answer.periodMs === undefined ? {} : { heartbeat_period: toDuration(answer.periodMs) }),
    clock: toTimestamp(now),
    ...(answer.state === undefined
      ? {}
      : { state: `NODE_STATE_${answer.state.kind}`, state_reasons: [...answer.state.reasons] }),
  };
}

/** As `toNodeInfo`, with what only administrators are told. */
export function toNodeDetail(node: Node): v1.NodeInfo {
  const info = toNodeInfo(node);
  const { met } = node.facts;
  const probed =
    (node.state.kind === 'SUSPECT' && node.state.signals.includes('probe')) ||
    (node.state.kind === 'OFFLINE' && node.state.cause === 'unreachable');
  if (met === undefined || !probed) return info;
  return { ...info, state_reasons: [...node.state.reasons, `the last probe met: ${met}`] };
}

export function toNodeInfo(node: Node): v1.NodeInfo {
  return {
    node_id: node.id,
    incarnation: node.incarnation,
    address: node.address,
    state: `NODE_STATE_${node.state.kind}`,
    state_reasons: [...node.state.reasons],
    models: node.offers.map((offer) => ({
      name: offer.name,
      version: offer.version,
      digest: offer.digest,
      batch_class: WIRE_BATCH_CLASS[offer.batchClass],
      provider: offer.provider,
      capacity: offer.capacity,
      kind: offer.kind,
      reference: offer.reference,
    })),
    other_models: node.others.map(({ name, version, state }) => ({
      name,
      version,
      state: WIRE_MODEL_STATE[state],
    })),
    load: {
      models: node.load.models.map((model) => ({
        model: model.model,
        free_slots: model.freeSlots,
        resume_slots: model.resumeSlots,
        queue_depth: model.queueDepth,
        step_seconds: model.stepSeconds,
      })),
      open_sessions: node.load.openSessions,
      event_loop_lag_seconds: node.load.eventLoopLagSeconds,
    },
    version: node.version,
    registered: toTimestamp(node.registeredAt),
    last_heartbeat: node.lastHeartbeat === undefined ? null : toTimestamp(node.lastHeartbeat),
    banned_until: node.bannedUntil === undefined ? null : toTimestamp(node.bannedUntil),
  };
}

export function toTimestamp(ms: number): { seconds: number; nanos: number } {
  const seconds = Math.floor(ms / 1000);
  return { seconds, nanos: Math.floor((ms - seconds * 1000) * 1e6) };
}

/** Milliseconds since the epoch; undefined where the sender gave none. */
export function fromTimestamp(
  time: { readonly seconds: number; readonly nanos: number } | null,
): number | undefined {
  return time === null ? undefined : time.seconds * 1000 + time.nanos / 1e6;
}
