import type { RemoteManager } from '@cabstand/client';
import type { RpcClientPool } from '@cabstand/rpc';
import type { Callers } from '../callers';
import { checkOpen as check } from '../held-sessions';
import type { HeldSessions } from '../held-sessions';

/** What handlers ask. */
export interface HandlerContext {
  readonly callers: Callers;
  readonly sessions: HeldSessions;
  readonly remote: RemoteManager;
  /** Connections to hosters, which sessions use as well. */
  readonly hosters: RpcClientPool;
  /** Whether hosters have to be told whom a call is for. */
  readonly named: boolean;
  readonly identity: {
    readonly nodeId: string;
    readonly incarnation: string;
    readonly version: string;
  };
  readonly limits: {
    readonly maxMessageBytes: number;
    readonly maxSessions: number;
    readonly maxSessionsPerPrincipal: number;
  };
  /** Aborted when the gateway stops: what runs may go on, nothing begins. */
  readonly stopping: AbortSignal;
}

/** Throws DRAINING where no turn may begin any more. */
export function checkOpen({ stopping }: HandlerContext): void {
  check(stopping);
}
