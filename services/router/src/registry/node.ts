import type { HealthFacts, NodeState } from '../health/state';
import type { Standing } from '../health/standing';
import type { BeatStream } from './beat-stream';

export type BatchClass = 'unspecified' | 'exact' | 'tolerance' | 'unbatched';

/** A model as a node offers it. */
export interface Offer {
  readonly name: string;
  readonly version: string;
  /** `sha256:` and 64 hex digits. */
  readonly digest: string;
  readonly batchClass: BatchClass;
  readonly provider: string;
  /** Sessions that can be open at once. */
  readonly capacity: number;
  readonly kind: string;
  /** What its answers were checked against: golden, self or none; '' from hosters that do not say. */
  readonly reference: string;
}

/** A version of a model that takes no new sessions there; shown, never placed. */
export interface ModelCondition {
  readonly name: string;
  /** '' where the node cannot tell. */
  readonly version: string;
  readonly state: 'loading' | 'verifying' | 'draining' | 'failed' | 'unspecified';
}

export interface ModelLoad {
  readonly model: string;
  /** Slots that new sessions may take. */
  readonly freeSlots: number;
  /** Further slots, which the node keeps for sessions that resume. */
  readonly resumeSlots: number;
  readonly queueDepth: number;
  readonly stepSeconds: number;
  /** Default 0. */
  readonly recordsPerSecond?: number;
  /** Mean since the heartbeat before; default 0: there was none. */
  readonly firstChunkSeconds?: number;
}

export interface NodeLoad {
  readonly models: readonly ModelLoad[];
  readonly openSessions: number;
  readonly eventLoopLagSeconds: number;
}

/** Where a slot stands in placement. Exactly one at a time. */
export type SlotClass =
  /** May be handed out to anybody. */
  | 'open'
  /** Only what the node keeps for resuming sessions is left. */
  | 'reserve'
  /** Online, but every slot is taken or reserved. */
  | 'full'
  /** Online with room, but banned: only when everything is banned. */
  | 'banned'
  /** Banned and full. */
  | 'banned_full'
  /** Joining, suspect or draining. */
  | 'unready'
  | 'offline';

/** One model on one node: what placement works with. */
export interface Slot {
  readonly node: Node;
  readonly model: string;
  readonly digests: readonly string[];
  /** As the node offers it, and at most what a node is believed to have. */
  readonly capacity: number;
  /** For new sessions, as the last heartbeat said. */
  free: number;
  /** Further slots that the node keeps for sessions that resume, as the last heartbeat said. */
  kept: number;
  queueDepth: number;
  stepSeconds: number;
  recordsPerSecond: number;
  firstChunkSeconds: number;
  /** Reservations: handed out and not yet seen as consumed. */
  readonly leases: Set<string>;
  class: SlotClass;
}

/** A hoster process as the router sees it. */
export interface Node {
  readonly id: string;
  readonly incarnation: string;
  /** Who registered it: nobody else may touch it. */
  readonly principal: string;
  /** Wall clock, milliseconds. */
  readonly registeredAt: number;
  address: string;
  version: string;
  offers: readonly Offer[];
  others: readonly ModelCondition[];
  slots: Map<string, Slot>;
  load: NodeLoad;
  facts: HealthFacts;
  state: NodeState;
  /** Monotonic time of the state's last change. */
  stateSince: number;
  /** Wall clock of the last heartbeat; undefined before the first. */
  lastHeartbeat: number | undefined;
  /** Monotonic time of the last sign of life: registration or heartbeat. */
  lastSeen: number;
  /** The period that it was told, in milliseconds. */
  periodMs: number;
  /** What became of its hand-outs. */
  readonly standing: Standing;
  /** Banned until this wall clock time; undefined if not. */
  bannedUntil: number | undefined;
  /** The stream that its heartbeats come from. */
  stream: BeatStream | undefined;
  /** Sessions it claims, by id, with the principals that they belong to. */
  readonly claims: Map<string, Set<string>>;
  /** Grows with every change that somebody could see: what is derived from the node can be cached. */
  revision: number;
}

export function isAlive(node: Node): boolean {
  return node.state.kind !== 'OFFLINE';
}

export const NO_LOAD: NodeLoad = { models: [], openSessions: 0, eventLoopLagSeconds: 0 };
