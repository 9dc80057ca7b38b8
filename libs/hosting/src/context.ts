import type { CabstandError } from '@cabstand/core';
import type { TicketVerifier } from '@cabstand/auth';
import type { ModelSource, Sessions } from '@cabstand/sessions';

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
  readonly host: ModelSource;
  readonly identity: NodeIdentity;
  readonly tickets: TicketVerifier;
  /** A session was opened with a router's ticket. */
  readonly leaseConsumed: (leaseId: string) => void;
}

/** What a call's end says about its reason, for the session that loses its reader. */
export function lossOf(error: CabstandError): 'cancelled' | 'timed_out' {
  return error.reason === 'DEADLINE_EXCEEDED' ? 'timed_out' : 'cancelled';
}
