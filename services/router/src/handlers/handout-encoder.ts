import { bytesHead } from '@cabstand/core';
import { Encoded, RouterService } from '@cabstand/rpc';
import type { v1 } from '@cabstand/rpc';
import type { Node } from '../registry/node';
import type { NodePieces } from './node-pieces';

/** A lease with its node yet to be told. */
export interface TicketedLease extends Required<Pick<v1.Lease, 'lease_id' | 'ticket' | 'expires'>> {
  readonly node: Node;
}

/** Of fields that hold messages, in an AcquireResponse. */
const LEASE = (1 << 3) | 2;
const MORE = (3 << 3) | 2;

const { encode } = RouterService.rpc_acquire.response;

/** An AcquireResponse put together from nodes that are serialized already, which are most of it. */
export function encodeHandOut(
  pieces: NodePieces,
  leases: readonly TicketedLease[],
  alternatives: readonly Node[],
): Encoded {
  const parts = leases.flatMap((lease, at) => leaseParts(pieces, at === 0 ? LEASE : MORE, lease));
  for (const node of alternatives) parts.push(pieces.of(node));
  return new Encoded(Buffer.concat(parts));
}

function leaseParts(
  pieces: NodePieces,
  tag: number,
  { node, lease_id, ticket, expires }: TicketedLease,
): Buffer[] {
  const rest = encode({ lease: { lease_id, ticket, expires } });
  // What the loader wrote, without its tag and length.
  const fields = rest.subarray(rest.findIndex((byte, at) => at > 0 && byte < 0x80) + 1);
  const piece = pieces.of(node);
  return [bytesHead(tag, fields.length + piece.length), fields, piece];
}
