import { CabstandError } from '@cabstand/core';
import type { Target } from '@cabstand/client/protocol';
import type { ServerCall, v1 } from '@cabstand/rpc';
import type { HandlerContext } from './context';
import { askWhoHas } from './who-has';

/** Where a session may be. */
export interface Place {
  readonly node: Target;
  /** Empty where nothing is reserved there. */
  readonly ticket: string;
  readonly leaseId: string | undefined;
}

/** For hosters to say whether they have a session, in milliseconds: one that takes longer is taken for dead. */
const ASK_MS = 1000;

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
  context: HandlerContext,
  id: string,
  call: ServerCall,
  signal: AbortSignal,
): Promise<Target[]> {
  const { having } = await askWhoHas(context, id, call, { signal, timeoutMs: ASK_MS });
  return having.filter(({ status }) => !OVER.has(status.state)).map(({ node }) => node);
}

const OVER: ReadonlySet<string> = new Set(['SESSION_STATE_ENDED', 'SESSION_STATE_CLOSING']);
