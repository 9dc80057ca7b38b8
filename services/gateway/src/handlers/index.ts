import type { HosterHandlers } from '@cabstand/rpc';
import type { HandlerContext } from './context';
import { inferenceStream } from './inference-stream';
import { info } from './info';
import {
  atHostersOnly,
  closeSession,
  sessionStatus,
  sessionUpdate,
  shareSession,
} from './session-calls';
import { sessionStream } from './session-stream';

export type { HandlerContext } from './context';

/** The handlers of cabstand.v1.HosterService, for callers to whom all hosters are one. */
export function gatewayHandlers(context: HandlerContext): HosterHandlers {
  return {
    rpc_info: info(context),
    rpc_inference_stream: inferenceStream(context),
    rpc_session_stream: sessionStream(context),
    rpc_session_update: sessionUpdate(context),
    rpc_session_status: sessionStatus(context),
    rpc_share_session: shareSession(context),
    rpc_close_session: closeSession(context),
    rpc_load_model: atHostersOnly('rpc_load_model'),
    rpc_unload_model: atHostersOnly('rpc_unload_model'),
  };
}
