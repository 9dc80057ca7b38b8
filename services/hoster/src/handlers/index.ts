import type { HosterHandlers } from '@cabstand/rpc';
import type { HandlerContext } from './context';
import { inferenceStream } from './inference-stream';
import { info, loadModel, unloadModel } from './models';
import { closeSession, sessionStatus, sessionUpdate } from './session-calls';
import { sessionStream } from './session-stream';

export type { HandlerContext, NodeIdentity } from './context';

/** The handlers of cabstand.v1.HosterService. */
export function hosterHandlers(context: HandlerContext): HosterHandlers {
  return {
    rpc_info: info(context),
    rpc_inference_stream: inferenceStream(context),
    rpc_session_stream: sessionStream(context),
    rpc_session_update: sessionUpdate(context),
    rpc_session_status: sessionStatus(context),
    rpc_close_session: closeSession(context),
    rpc_load_model: loadModel(context),
    rpc_unload_model: unloadModel(context),
  };
}
