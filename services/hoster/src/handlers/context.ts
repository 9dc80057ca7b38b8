import type { HandlerContext as SessionContext } from '@cabstand/hosting';
import type { AuditLog } from '@cabstand/service';
import type { ModelHost } from '../models/model-host';

/** What handlers ask. */
export interface HandlerContext extends SessionContext {
  readonly host: ModelHost;
  readonly audit: AuditLog;
  readonly limits: { readonly maxMessageBytes: number };
  /** How long sessions of an unloaded model may go on where the caller does not say, in milliseconds. */
  readonly unloadDeadlineMs: number;
}
