import type { RemoteManager } from './manager';
import type { PlacementSource } from './types';

/**
 * What a gateway knows of the subnet, used for somebody whom it speaks for: places are reserved for that principal,
 * and its sessions are found. What is known of the nodes is shared.
 */
export function placementFor(remote: RemoteManager, principal: string): PlacementSource {
  return {
    connection: remote.connection,
    acquire: (request) => remote.acquire({ ...request, onBehalfOf: principal }),
    enter: (node) => remote.enter(node),
    settle: (node, outcome) => remote.settle(node, outcome),
    hostersOf: (request) => remote.hostersOf(request),
    locate: (sessionId, signal) => remote.locate(sessionId, signal, principal),
  };
}
