import { CabstandError } from '@cabstand/core';
import type { ActiveTurn } from './active-turn';
import type { HandleContent } from './handle';
import type { CoreContext, Standing } from './standing';

/**
 * What another process needs to go on with a session.
 *
 * @param active the turn that runs
 * @throws CabstandError INVALID_ARGUMENT where the session is not durable, SESSION_UNKNOWN where no hoster
 *   has it, SESSION_BUSY while a live turn runs
 */
export function exported(
  { settings }: CoreContext,
  standing: Standing,
  active: ActiveTurn | undefined,
): HandleContent {
  const { home, continuation } = standing;
  if (!settings.durable)
    throw new CabstandError('INVALID_ARGUMENT', 'export: the session is not durable');
  if (home === undefined || standing.state.kind === 'closed')
    throw new CabstandError('SESSION_UNKNOWN', 'export: no hoster has the session');
  if (active?.live !== undefined)
    throw new CabstandError('SESSION_BUSY', 'export: a live turn runs, end it first');
  return {
    sessionId: standing.sessionId,
    model: settings.model,
    digest: standing.digest,
    priority: settings.priority,
    epoch: standing.highestEpoch,
    node: { nodeId: home.nodeId, incarnation: home.incarnation, address: home.address },
    position: standing.guard.next,
    turn: standing.turn,
    checkpoint: continuation.checkpoint,
    past: continuation.past,
    running:
      active === undefined
        ? standing.pending
        : { start: active.position, input: active.input, chunks: active.chunks },
  };
}
