import type { CabstandError } from '@cabstand/core';
import type { RpcClientPool, TraceContext } from '@cabstand/rpc';
import type { ConnectionOptions } from '../connection';
import type { Target } from '../protocol/types';
import type { NodeRef } from '../retry/exclusions';

export type NodeState = 'joining' | 'online' | 'suspect' | 'draining' | 'offline' | 'unknown';

/** A model on a node, as the node registered it. */
export interface NodeModel {
  readonly name: string;
  readonly version: string;
  /** `sha256:…` over weights and manifest. */
  readonly digest: string;
  readonly batchClass: 'exact' | 'tolerance' | 'unbatched' | 'unknown';
  /** `cuda`, `tensorrt`, `webgpu` or `cpu`. */
  readonly provider: string;
  /** Sessions that can be open at once. */
  readonly capacity: number;
  /** `stateless`, `stateful`, `generator` or `module`. */
  readonly kind: string;
  /** As of the node's last heartbeat. */
  readonly freeSlots: number;
  readonly queueDepth: number;
  /** Mean time of a step; 0 if unknown. */
  readonly stepSeconds: number;
}

/** A hoster as the router sees it. */
export interface RemoteNode extends Target {
  readonly state: NodeState;
  /** Why the state is what it is. */
  readonly stateReasons: readonly string[];
  readonly models: readonly NodeModel[];
  readonly openSessions: number;
  readonly version: string;
  /** Milliseconds since the epoch; undefined if never or unknown. */
  readonly registeredAt: number | undefined;
  readonly lastHeartbeatAt: number | undefined;
  readonly bannedUntil: number | undefined;
}

/** A hoster to go to. */
export interface Placement {
  readonly node: Target;
  /** Undefined without a reservation. */
  readonly lease: { readonly id: string; readonly ticket: string } | undefined;
  /** Where to go next if this one refuses, best first. */
  readonly alternatives: readonly Target[];
}

/** A place that nobody has reserved. */
export function unreserved(node: Target): Placement {
  return { node, lease: undefined, alternatives: [] };
}

export interface PlacementRequest {
  readonly model: string;
  /** Only hosters with exactly these weights. */
  readonly digest?: string;
  /** If not empty, only these node ids. */
  readonly allow?: readonly string[];
  /** Never these node ids. */
  readonly block?: readonly string[];
  /** The session goes on from elsewhere. */
  readonly resume?: boolean;
  /** Not these while another will do. */
  readonly avoid?: readonly NodeRef[];
  readonly sessionId?: string;
  /** Time counts: a node that is known to have room will do, without a reservation. */
  readonly known?: boolean;
  /** The principal that it is for, where a gateway asks. */
  readonly onBehalfOf?: string;
  /** What it is part of. */
  readonly trace?: TraceContext | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** How a visit to a hoster went. */
export type Outcome =
  | { readonly kind: 'served' }
  /** It had no room, or not the model; nobody's fault. */
  | { readonly kind: 'refused'; readonly error: CabstandError }
  | { readonly kind: 'failed'; readonly error: CabstandError; readonly leaseId: string | undefined }
  /** The caller's doing: says nothing about the node. */
  | { readonly kind: 'undecided' };

/** Finds hosters for sessions, and remembers how they did. */
export interface PlacementSource {
  /** How it connects: sessions do the same where they are not told otherwise. */
  readonly connection?: ConnectionOptions;
  /** Its connections, which sessions share then. Whoever made them closes them. */
  readonly pool?: RpcClientPool;
  acquire(request: PlacementRequest): Promise<Placement>;
  /** False if the node must not be called now; otherwise `settle` must follow. */
  enter(node: Target): boolean;
  settle(node: Target, outcome: Outcome): void;
  /** Hosters that may be asked about a model: up, and with it as far as is known. */
  hostersOf?(
    request: Pick<PlacementRequest, 'model' | 'digest' | 'allow' | 'block' | 'signal'>,
  ): Promise<readonly Target[]>;
  /** Those of them that are known already, without asking anybody. Empty where nothing is known. */
  knownHosters?(model: string): readonly Target[];
  /** Hosters that claim a session, the one with the highest epoch first. */
  locate?(sessionId: string, signal?: AbortSignal): Promise<readonly Target[]>;
}
