import type { v1 } from '@cabstand/rpc';
import type { NodeModel, NodeState, RemoteNode } from './types';

const NODE_STATES: readonly NodeState[] = ['joining', 'online', 'suspect', 'draining', 'offline'];

export function nodeFromWire(wire: v1.NodeInfo__Output): RemoteNode {
  const state = wire.state.replace('NODE_STATE_', '').toLowerCase();
  const loads = new Map((wire.load?.models ?? []).map((load) => [load.model, load]));
  return {
    nodeId: wire.node_id,
    incarnation: wire.incarnation,
    address: wire.address,
    state: NODE_STATES.find((known) => known === state) ?? 'unknown',
    stateReasons: wire.state_reasons,
    models: wire.models.map((offer) => modelFromWire(offer, loads.get(offer.name))),
    openSessions: wire.load?.open_sessions ?? 0,
    version: wire.version,
    registeredAt: timeFromWire(wire.registered),
    lastHeartbeatAt: timeFromWire(wire.last_heartbeat),
    bannedUntil: timeFromWire(wire.banned_until),
  };
}

const BATCH_CLASSES = ['exact', 'tolerance', 'unbatched'] as const;

export function offerFromWire(
  offer: v1.ModelOffer__Output,
): Omit<NodeModel, 'freeSlots' | 'queueDepth' | 'stepSeconds'> {
  const batchClass = offer.batch_class.replace('BATCH_CLASS_', '').toLowerCase();
  return {
    name: offer.name,
    version: offer.version,
    digest: offer.digest,
    batchClass: BATCH_CLASSES.find((known) => known === batchClass) ?? 'unknown',
    provider: offer.provider,
    capacity: offer.capacity,
    kind: offer.kind,
  };
}

function modelFromWire(
  offer: v1.ModelOffer__Output,
  load: v1.ModelLoad__Output | undefined,
): NodeModel {
  return {
    ...offerFromWire(offer),
    // Before its first heartbeat a node has all its slots.
    freeSlots: load?.free_slots ?? offer.capacity,
    queueDepth: load?.queue_depth ?? 0,
    stepSeconds: load?.step_seconds ?? 0,
  };
}

function timeFromWire(wire: { seconds: unknown; nanos: number } | null): number | undefined {
  return wire === null ? undefined : Number(wire.seconds) * 1_000 + wire.nanos / 1e6;
}
