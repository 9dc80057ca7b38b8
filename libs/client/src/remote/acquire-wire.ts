/** What a router is asked for a place, and what it answers. */
import type { v1 } from '@cabstand/rpc';
import { isSet } from '../is-set';
import type { Target } from '../protocol/types';
import type { NodeRef } from '../retry/exclusions';
import { nodeFromWire } from './from-wire';
import type { Placement, PlacementRequest } from './types';

/** Hosters in the list of those that are out: more would only make the message long. */
const MOST_EXCLUDED = 64;

export type PackFields = Pick<v1.AcquireRequest, 'count' | 'returned_lease_ids'>;

export function acquireRequest(
  request: PlacementRequest,
  out: readonly NodeRef[],
  pack: PackFields,
): v1.AcquireRequest {
  return {
    model: request.model,
    digest: request.digest ?? '',
    exclude: out
      .slice(0, MOST_EXCLUDED)
      .map((node) => ({ node_id: node.nodeId, incarnation: node.incarnation })),
    allow: [...(request.allow ?? [])],
    block: [...(request.block ?? [])],
    resume: request.resume ?? false,
    session_id: request.sessionId ?? '',
    ...pack,
  };
}

/** None for a lease without a node. */
export function placementOf(
  lease: v1.Lease__Output | null,
  alternatives: readonly Target[],
): [] | [Placement] {
  if (!isSet(lease?.node)) return [];
  const { lease_id: id, ticket, node } = lease;
  return [{ node: nodeFromWire(node), lease: { id, ticket }, alternatives }];
}
