import { sessionHandlers } from '@cabstand/hosting';
import type { HosterHandlers } from '@cabstand/rpc';
import type { HandlerContext } from './context';
import { audited } from '@cabstand/service';
import { attachAudit } from '../audit';
import { info, loadModel, unloadModel } from './models';

export type { HandlerContext } from './context';

/** The handlers of cabstand.v1.HosterService. */
export function hosterHandlers(context: HandlerContext): HosterHandlers {
  const { audit } = context;
  const sessions = sessionHandlers(context);
  return {
    ...sessions,
    rpc_session_stream: attachAudit(audit, sessions.rpc_session_stream),
    rpc_share_session: audited(audit, sessions.rpc_share_session, (request) => ({
      event: 'session_shared',
      facts: { session_id: request.session_id, viewer: request.principal },
    })),
    rpc_info: info(context),
    rpc_load_model: audited(audit, loadModel(context), ({ model, version }) => ({
      event: 'model_loaded',
      facts: { model, version },
    })),
    rpc_unload_model: audited(audit, unloadModel(context), ({ model, version }) => ({
      event: 'model_unloaded',
      facts: { model, version },
    })),
  };
}
