import { CabstandError } from '@cabstand/core';
import type { Target } from '@cabstand/client/protocol';
import { HosterService } from '@cabstand/rpc';
import type { CallOptions, RpcClient, ServerCall, v1 } from '@cabstand/rpc';
import type { HandlerContext } from './context';

/** Most hosters that are asked for a session. */
const MOST_ASKED = 64;

/** A hoster that knows a session, and how that stands there. */
export interface Having {
  readonly node: Target;
  readonly client: RpcClient;
  readonly status: v1.SessionStatusResponse__Output;
  /** What it was asked with. */
  readonly options: CallOptions;
}

interface Asking {
  readonly signal: AbortSignal;
  /** For each hoster to say whether it has the session. */
  readonly timeoutMs: number;
  /** Throws what routers fail with. Default: such as do not answer know of no session. */
  readonly strict?: boolean;
  /** For a session of another principal's; empty: it is the caller's. */
  readonly ticket?: string;
}

/**
 * Asks hosters for a session of a caller: those that routers say have it, or else all. Those that know it, where it
 * went on last first, and what the others said.
 */
export async function askWhoHas(
  { remote, hosters, named }: HandlerContext,
  session_id: string,
  { principal }: Pick<ServerCall, 'principal'>,
  { signal, timeoutMs, strict = false, ticket = '' }: Asking,
): Promise<{ readonly having: readonly Having[]; readonly errors: readonly CabstandError[] }> {
  const onBehalfOf = named ? principal.id : undefined;
  const options = { signal, timeoutMs, onBehalfOf };
  const none = (thrown: unknown): readonly Target[] => {
    if (strict) throw thrown;
    return [];
  };
  const claims = await remote.locate(session_id, signal, onBehalfOf).catch(none);
  // Nobody tells routers of sessions that are not durable, and such as have just begun know of none.
  const nodes = claims.length > 0 ? claims : await remote.nodes(signal).catch(none);
  const asked = await Promise.allSettled(
    nodes.slice(0, MOST_ASKED).map(async (node) => {
      const client = hosters.get(node.address);
      const request = { session_id, ticket };
      const status = await client.unary(HosterService.rpc_session_status, request, options);
      return { node, client, status, options };
    }),
  );
  const having = asked.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  const errors = asked.flatMap((one) =>
    one.status === 'rejected' ? [CabstandError.from(one.reason)] : [],
  );
  return { having: having.sort((a, b) => b.status.epoch - a.status.epoch), errors };
}
