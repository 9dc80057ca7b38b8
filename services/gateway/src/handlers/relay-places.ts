import { CabstandError } from '@cabstand/core';
import type { Target } from '@cabstand/client/protocol';
import type { RemoteManager } from '@cabstand/client';
import { HosterService } from '@cabstand/rpc';
import type { ServerCall, v1 } from '@cabstand/rpc';
import type { HandlerContext } from './context';

/** Where a session may be. */
export interface Place {
  readonly node: Target;
  /** Empty where nothing is reserved there. */
  readonly ticket: string;
  readonly leaseId: string | undefined;
}

/** For hosters to say whether they have a session, in milliseconds: one that takes longer is taken for dead. */
const ASK_MS = 1000;
/** Most hosters that are asked for a session. */
const MOST_ASKED = 64;

const unreserved = (node: Target): Place => ({ node, ticket: '', leaseId: undefined });

/**
 * The hosters for a session that its caller opens, attaches to, or resumes, best first: whichever has it, and but for
 * an attach those that have room. Throws SESSION_UNKNOWN where an attach finds it nowhere, and why there is no room.
 */
export async function* placesFor(
  context: HandlerContext,
  { open, attach }: v1.SessionStreamRequest__Output,
  call: ServerCall,
  signal: AbortSignal,
): AsyncGenerator<Place> {
  const id = open?.session_id ?? attach?.session_id ?? '';
  // Where it is nothing is computed twice.
  const asks = !open || open.resume !== null;
  const having = asks ? await whereIs(context, id, call, signal) : [];
  yield* having.map(unreserved);
  if (!open) {
    if (having.length === 0)
      throw new CabstandError('SESSION_UNKNOWN', `no hoster has session ${id}`, {
        metadata: { session_id: id },
      });
    return;
  }
  const { node, lease, alternatives } = await context.remote.acquire({
    ...{ model: open.model, sessionId: id, resume: open.resume !== null, avoid: having, signal },
    ...(context.named ? { onBehalfOf: call.principal.id } : {}),
  });
  yield { node, ticket: lease?.ticket ?? '', leaseId: lease?.id };
  yield* alternatives.map(unreserved);
}

/** Hosters that have a session that has not ended, the one where it went on last first. */
async function whereIs(
  { remote, hosters, named }: HandlerContext,
  session_id: string,
  { principal }: ServerCall,
  signal: AbortSignal,
): Promise<Target[]> {
  const onBehalfOf = named ? principal.id : undefined;
  const options = { signal, timeoutMs: ASK_MS, onBehalfOf };
  const nodes = await claiming(remote, session_id, signal, onBehalfOf);
  const asked = await Promise.allSettled(
    nodes.slice(0, MOST_ASKED).map(async (node) => {
      const request = { session_id };
      const client = hosters.get(node.address);
      return { node, ...(await client.unary(HosterService.rpc_session_status, request, options)) };
    }),
  );
  return asked
    .flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
    .filter(({ state }) => state !== 'SESSION_STATE_ENDED' && state !== 'SESSION_STATE_CLOSING')
    .sort((a, b) => b.epoch - a.epoch)
    .map(({ node }) => node);
}

/** Who may have it: routers that have just begun, and such as do not answer, know of none. */
async function claiming(
  remote: RemoteManager,
  id: string,
  signal: AbortSignal,
  onBehalfOf: string | undefined,
): Promise<readonly Target[]> {
  const claims = await remote.locate(id, signal, onBehalfOf).catch(() => []);
  return claims.length > 0 ? claims : await remote.nodes(signal).catch(() => []);
}
