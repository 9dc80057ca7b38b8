import { WatchEncoder } from './watch-encoder';
import type { RouterHandlers } from '@cabstand/rpc';
import type { HandlerContext } from './context';

/** A snapshot, then changes; a reader that is slow gets the latest state and no backlog. */
export function watchHandler(context: HandlerContext): Required<RouterHandlers>['rpc_watch_nodes'] {
  const { core } = context;
  const encoder = new WatchEncoder(core.incarnation);
  return async (request, call, out) => {
    const wanted = { models: request.models, maxNodes: request.max_nodes };
    const watch = await core.watch(wanted, call.principal.id, call.signal);
    for await (const update of watch)
      if (!out.push(encoder.encode(update))) await watch.until(out.drained());
  };
}
