import type { PlacementRequest, RemoteNode } from './types';

/** Nodes of the cache that may serve a request, without those for which `out` is true. An empty model is any. */
export function candidates(
  nodes: readonly RemoteNode[],
  request: Pick<PlacementRequest, 'model' | 'digest' | 'allow' | 'block'>,
  out: (node: RemoteNode) => boolean,
): RemoteNode[] {
  const { model, digest, allow = [], block = [] } = request;
  return nodes.filter(
    (node) =>
      (node.state === 'online' || node.state === 'suspect') &&
      node.models.some(
        (offer) =>
          (model === '' || offer.name === model) &&
          (digest === undefined || offer.digest === digest),
      ) &&
      (allow.length === 0 || allow.includes(node.nodeId)) &&
      !block.includes(node.nodeId) &&
      !out(node),
  );
}

/**
 * Orders candidates: the better of two random ones first, which spreads load without knowing it
 * exactly, then the others, best first.
 */
export function rank<N>(
  nodes: readonly N[],
  score: (node: N) => number,
  random: () => number,
): N[] {
  const sorted = [...nodes].sort((a, b) => score(b) - score(a));
  if (sorted.length < 2) return sorted;
  const draw = (): number => Math.min(sorted.length - 1, Math.floor(random() * sorted.length));
  // The list is sorted: the lower index is the better one.
  const chosen = Math.min(draw(), draw());
  const [first] = sorted.splice(chosen, 1) as [N];
  return [first, ...sorted];
}
