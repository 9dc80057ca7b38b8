import { RouterService } from '@cabstand/rpc';
import type { v1 } from '@cabstand/rpc';
import type { Node } from '../registry/node';

interface Piece {
  readonly revision: number;
  readonly bytes: Buffer;
}

const { encode } = RouterService.rpc_watch_nodes.response;

/**
 * Nodes as fields of messages, each state of one serialized once however often it is told. The number of the
 * field is the same wherever the router tells of nodes: of an update, a lease and the alternatives to it.
 *
 * A message of Protocol Buffers may be written in pieces: fields are put one after the other
 * (https://protobuf.dev/programming-guides/encoding/#last-one-wins).
 */
export class NodePieces {
  readonly #known = new WeakMap<Node, Piece>();

  constructor(private readonly toInfo: (node: Node) => v1.NodeInfo) {}

  of(node: Node): Buffer {
    const known = this.#known.get(node);
    if (known?.revision === node.revision) return known.bytes;
    const encoded = encode({ nodes: [this.toInfo(node)] });
    // Not one of the pool: that would keep eight KiB for as long as any piece of them.
    const bytes = Buffer.allocUnsafeSlow(encoded.length);
    encoded.copy(bytes);
    this.#known.set(node, { revision: node.revision, bytes });
    return bytes;
  }
}
