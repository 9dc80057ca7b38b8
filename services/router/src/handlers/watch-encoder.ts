import { Encoded, RouterService } from '@cabstand/rpc';
import type { v1 } from '@cabstand/rpc';
import type { Node } from '../registry/node';
import type { WatchUpdate } from '../watch/watcher';

interface EncodedNode {
  readonly revision: number;
  readonly bytes: Buffer;
}

interface Told {
  readonly snapshot: boolean;
  readonly parts: readonly Buffer[];
  readonly message: Encoded;
}

/**
 * Serializes what watchers are told: each state of a node once, however many watchers follow it, and a
 * message once if watchers that come one after the other are told the same.
 *
 * A message of Protocol Buffers may be written in pieces: repeated fields of messages that are put one
 * after the other add up (https://protobuf.dev/programming-guides/encoding/#last-one-wins).
 */
export class WatchEncoder {
  readonly #nodes = new WeakMap<Node, EncodedNode>();
  readonly #router: Buffer;
  #last: Told | undefined;

  constructor(
    routerIncarnation: string,
    private readonly toInfo: (node: Node) => v1.NodeInfo,
  ) {
    this.#router = encode({ router_incarnation: routerIncarnation });
  }

  encode({ snapshot, nodes, removed }: WatchUpdate): Encoded {
    const parts = nodes.map((node) => this.#node(node));
    if (removed.length > 0)
      return joined(encode({ snapshot, removed_node_ids: [...removed] }), ...parts, this.#router);
    const last = this.#last;
    if (last?.snapshot === snapshot && sameParts(last.parts, parts)) return last.message;
    const message = joined(encode({ snapshot }), ...parts, this.#router);
    this.#last = { snapshot, parts, message };
    return message;
  }

  #node(node: Node): Buffer {
    const known = this.#nodes.get(node);
    if (known?.revision === node.revision) return known.bytes;
    const bytes = encode({ nodes: [this.toInfo(node)] });
    this.#nodes.set(node, { revision: node.revision, bytes });
    return bytes;
  }
}

const encode = RouterService.rpc_watch_nodes.response.encode;

function joined(...parts: readonly Buffer[]): Encoded {
  return new Encoded(Buffer.concat(parts));
}

function sameParts(a: readonly Buffer[], b: readonly Buffer[]): boolean {
  return a.length === b.length && a.every((part, i) => part === b[i]);
}
