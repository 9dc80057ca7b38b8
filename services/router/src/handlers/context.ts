import type { Clock } from '@cabstand/core';
import type { Gateways } from '../console/gateways';
import type { RouterCore } from '../core';
import type { AuditLog } from '@cabstand/service';
import type { TicketSigner } from '../leases/ticket';
import type { NodePieces } from './node-pieces';

/** What all handlers work with. */
export interface HandlerContext {
  readonly core: RouterCore;
  readonly tickets: TicketSigner;
  readonly clock: Clock;
  readonly audit: AuditLog;
  readonly gateways: Gateways;
  /** Nodes as everybody is told of them. */
  readonly pieces: NodePieces;
  /** Aborts, with the reason that callers are told, when the router begins to stop. */
  readonly stopping: AbortSignal;
  /** Something an operator should know. */
  readonly warn: (message: string, facts: Readonly<Record<string, unknown>>) => void;
}
