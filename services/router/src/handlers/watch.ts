import { toNodeDetail } from './convert';
import { NodePieces } from './node-pieces';
import { WatchEncoder } from './watch-encoder';
import type { RouterHandlers } from '@cabstand/rpc';
import type { HandlerContext } from './context';

/** A snapshot, then changes; a reader that is slow gets the latest state and no backlog. */
export function watchHandler(context: HandlerContext): Required<RouterHandlers>['rpc_watch_nodes'] {
  const { core, gateways, pieces } = context;
  const forAll = new WatchEncoder(core.incarnation, pieces);
  const forAdmins = new WatchEncoder(core.incarnation, new NodePieces(toNodeDetail));
  return async (request, call, out) => {
    const wanted = { models: request.models, maxNodes: request.max_nodes };
    const { id, roles } = call.principal;
    const encoder = roles.has('admin') ? forAdmins : forAll;
    const watch = await core.watch(wanted, id, call.signal);
    const ended = gateways.follows(call.principal);
    try {
      for await (const update of watch)
        if (!out.push(encoder.encode(update))) await watch.until(out.drained());
    } finally {
      ended();
    }
  };
}
