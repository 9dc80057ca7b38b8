import { toNodeInfo } from './convert';
import type { RouterHandlers } from '@cabstand/rpc';
import type { HandlerContext } from './context';

/** A snapshot, then changes; a reader that is slow gets the latest state and no backlog. */
export function watchHandler(context: HandlerContext): Required<RouterHandlers>['rpc_watch_nodes'] {
  const { core } = context;
  return async (request, call, out) => {
    const wanted = { models: request.models, maxNodes: request.max_nodes };
    for await (const update of core.watch(wanted, call.signal))
      await out.write({
        snapshot: update.snapshot,
        nodes: update.nodes.map(toNodeInfo),
        removed_node_ids: [...update.removed],
        router_incarnation: core.incarnation,
      });
  };
}
