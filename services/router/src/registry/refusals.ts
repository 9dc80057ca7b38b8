import { CabstandError } from '@cabstand/core';
import type { Node } from './node';

/** The router tells clients to dial the address, and dials it itself. */
export function addressRefused(address: string, why: string): CabstandError {
  return new CabstandError(
    'PERMISSION_DENIED',
    `address ${address} is not one that hosters may give (${why}): advertise another one, or list it in the router's nodes.allow`,
    { metadata: { field: 'address', value: address, setting: 'nodes.allow' } },
  );
}

export function notYours(nodeId: string): CabstandError {
  return new CabstandError(
    'PERMISSION_DENIED',
    `node ${nodeId} is registered by another principal and alive`,
    { metadata: { node_id: nodeId } },
  );
}

export function replacedBy(node: Node): CabstandError {
  return new CabstandError(
    'INCARNATION_UNKNOWN',
    `another process has taken this one's place (node ${node.id}, ${node.incarnation}, at ${node.address}); two hosters must not share a node id or address`,
    { metadata: { node_id: node.id, incarnation: node.incarnation, address: node.address } },
  );
}

/** The newcomer may be a restart: it waits until the node of that name is gone, or known to be. */
export function nodeExists(node: Node): CabstandError {
  return new CabstandError(
    'NODE_EXISTS',
    `node ${node.id} is alive at ${node.address}; give every hoster a node id and an address of its own, or wait until that one is offline`,
    { metadata: { node_id: node.id, address: node.address }, retryAfterMs: 1000 },
  );
}
