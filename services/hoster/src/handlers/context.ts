import type { CabstandError } from '@cabstand/core';
import type { TicketVerifier } from '@cabstand/auth';
import type { ModelHost } from '../engines/contract';
import type { Sessions } from '../sessions/sessions';

/** Who this process is. */
export interface NodeIdentity {
  readonly nodeId: string;
  /** Random per process start. */
  readonly incarnation: string;
  /** Version of the software. */
  readonly version: string;
}

/** What handlers ask. */
export interface HandlerContext {
  readonly sessions: Sessions;
  readonly host: ModelHost;
  readonly identity: NodeIdentity;
  readonly tickets: TicketVerifier;
  /** A session was opened with a router's ticket. */
  readonly leaseConsumed: (leaseId: string) => void;
  readonly limits: { readonly maxMessageBytes: number };
  /** How long sessions of an unloaded model may go on where the caller does not say, in milliseconds. */
  readonly unloadDeadlineMs: number;
}

/** What a call's end says about its reason, for the session that loses its reader. */
export function lossOf(error: CabstandError): 'cancelled' | 'timed_out' {
  return error.reason === 'DEADLINE_EXCEEDED' ? 'timed_out' : 'cancelled';
}
