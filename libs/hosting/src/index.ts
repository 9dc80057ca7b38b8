import type { HosterHandlers } from '@cabstand/rpc';
import type { HandlerContext } from './context';
import { inferenceStream } from './inference-stream';
import { closeSession, sessionStatus, sessionUpdate, shareSession } from './session-calls';
import { sessionStream } from './session-stream';

export { lookAhead } from './ahead';
export { lossOf } from './context';
export type { HandlerContext, NodeIdentity } from './context';
export { modelInfo, modelOffer, wireModelState } from './model-info';
export { openSession } from './opening';
export { NO_EPOCH } from './parse';
export { commandsOf } from './session-stream';

/** The calls of cabstand.v1.HosterService about sessions. */
export function sessionHandlers(
  context: HandlerContext,
): Required<
  Pick<
    HosterHandlers,
    | 'rpc_inference_stream'
    | 'rpc_session_stream'
    | 'rpc_session_update'
    | 'rpc_session_status'
    | 'rpc_share_session'
    | 'rpc_close_session'
  >
> {
  return {
    rpc_inference_stream: inferenceStream(context),
    rpc_session_stream: sessionStream(context),
    rpc_session_update: sessionUpdate(context),
    rpc_session_status: sessionStatus(context),
    rpc_share_session: shareSession(context),
    rpc_close_session: closeSession(context),
  };
}
