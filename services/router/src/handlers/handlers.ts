import { toNodeInfo } from './convert';
import { heartbeatHandler } from './heartbeat';
import { handOutHandlers } from './handout';
import { membershipHandlers } from './membership';
import { NodePieces } from './node-pieces';
import { watchHandler } from './watch';
import type { RouterHandlers } from '@cabstand/rpc';
import type { HandlerContext } from './context';

/** All methods of cabstand.v1.RouterService. */
export function routerHandlers(parts: Omit<HandlerContext, 'pieces'>): Required<RouterHandlers> {
  const context: HandlerContext = { ...parts, pieces: new NodePieces(toNodeInfo) };
  return {
    ...membershipHandlers(context),
    ...handOutHandlers(context),
    rpc_heartbeat: heartbeatHandler(context),
    rpc_watch_nodes: watchHandler(context),
  };
}
