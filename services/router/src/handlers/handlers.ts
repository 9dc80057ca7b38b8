import { heartbeatHandler } from './heartbeat';
import { handOutHandlers } from './handout';
import { membershipHandlers } from './membership';
import { watchHandler } from './watch';
import type { RouterHandlers } from '@cabstand/rpc';
import type { HandlerContext } from './context';

/** All methods of cabstand.v1.RouterService. */
export function routerHandlers(context: HandlerContext): Required<RouterHandlers> {
  return {
    ...membershipHandlers(context),
    ...handOutHandlers(context),
    rpc_heartbeat: heartbeatHandler(context),
    rpc_watch_nodes: watchHandler(context),
  };
}
