import { Encoded, RouterService } from '@cabstand/rpc';
import type { WatchUpdate } from '../watch/watcher';
import type { NodePieces } from './node-pieces';

interface Told {
  readonly snapshot: boolean;
  readonly parts: readonly Buffer[];
  readonly message: Encoded;
}

/**
 * Serializes what watchers are told: each state of a node once, however many watchers follow it, and a
 * message once if watchers that come one after the other are told the same.
 */
export class WatchEncoder {
  readonly #router: Buffer;
  #last: Told | undefined;

  constructor(
    routerIncarnation: string,
    private readonly pieces: NodePieces,
  ) {
    this.#router = encode({ router_incarnation: routerIncarnation });
  }

  encode({ snapshot, nodes, removed }: WatchUpdate): Encoded {
    const parts = nodes.map((node) => this.pieces.of(node));
    if (removed.length > 0)
      return joined(encode({ snapshot, removed_node_ids: [...removed] }), ...parts, this.#router);
    const last = this.#last;
    if (last?.snapshot === snapshot && sameParts(last.parts, parts)) return last.message;
    const message = joined(encode({ snapshot }), ...parts, this.#router);
    this.#last = { snapshot, parts, message };
    return message;
  }
}

const encode = RouterService.rpc_watch_nodes.response.encode;

function joined(...parts: readonly Buffer[]): Encoded {
  return new Encoded(Buffer.concat(parts));
}

function sameParts(a: readonly Buffer[], b: readonly Buffer[]): boolean {
  return a.length === b.length && a.every((part, i) => part === b[i]);
}
