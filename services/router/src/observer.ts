import type { NodeStateKind } from './health/state';
import type { LeaseEnd } from './leases/leases';
import type { SessionClaim } from './registry/claims';
import type { Node } from './registry/node';

/** How an acquire ended. */
export type HandOutResult = 'ok' | 'full' | 'no_node' | 'model_unknown' | 'quota' | 'invalid';

/** A durable session that one node had goes on at another: a failover, or a planned move. */
export interface SessionMove {
  readonly session: SessionClaim;
  /** The id of the node that had it. */
  readonly fromId: string;
  /** That node, where it is still known. */
  readonly from: Node | undefined;
  readonly to: Node;
}

/** Sees what the core does: metrics and logs. Must not throw. */
export interface RouterObserver {
  handedOut?(result: HandOutResult): void;
  leaseEnded?(end: LeaseEnd): void;
  stateChanged?(node: Node, before: NodeStateKind): void;
  nodeAdded?(node: Node): void;
  nodeRemoved?(node: Node): void;
  probed?(node: Node, failure: string | undefined): void;
  /** The address that it gave cannot be reached from here. */
  unreachable?(node: Node, why: string): void;
  banned?(node: Node): void;
  reported?(node: Node, reason: string): void;
  moved?(move: SessionMove): void;
}

/** One that tells all of them. */
export function tellAll(observers: readonly RouterObserver[]): RouterObserver {
  return {
    handedOut: (result) => observers.forEach((one) => one.handedOut?.(result)),
    leaseEnded: (end) => observers.forEach((one) => one.leaseEnded?.(end)),
    stateChanged: (node, before) => observers.forEach((one) => one.stateChanged?.(node, before)),
    nodeAdded: (node) => observers.forEach((one) => one.nodeAdded?.(node)),
    nodeRemoved: (node) => observers.forEach((one) => one.nodeRemoved?.(node)),
    probed: (node, failure) => observers.forEach((one) => one.probed?.(node, failure)),
    unreachable: (node, why) => observers.forEach((one) => one.unreachable?.(node, why)),
    banned: (node) => observers.forEach((one) => one.banned?.(node)),
    reported: (node, reason) => observers.forEach((one) => one.reported?.(node, reason)),
    moved: (move) => observers.forEach((one) => one.moved?.(move)),
  };
}

/** Sizes, for metrics. Each has a limit of the same meaning in the settings. */
export interface RouterSizes {
  readonly nodes: Readonly<Record<NodeStateKind, number>>;
  readonly models: number;
  readonly reservations: number;
  readonly claims: number;
  readonly banned: number;
  readonly watchers: number;
  readonly probesRunning: number;
  readonly reporters: number;
}
