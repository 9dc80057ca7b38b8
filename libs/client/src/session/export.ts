import { CabstandError } from '@cabstand/core';
import type { ActiveTurn } from './active-turn';
import type { Commands } from './commands';
import type { HandleContent } from './handle';
import type { CoreContext, Standing } from './standing';

/**
 * What another process needs to go on with a session.
 *
 * @param active the turn that runs
 * @throws CabstandError INVALID_ARGUMENT where the session is not durable, SESSION_UNKNOWN where no hoster
 *   has it, SESSION_BUSY while a live turn runs, and while
 *   records that belong together, or that came before a result, have not all been read
 */
export function exported(
  { settings }: CoreContext,
  standing: Standing,
  active: ActiveTurn | undefined,
  commands: Commands,
): HandleContent {
  const { home, continuation, survival } = standing;
  if (!settings.durable)
    throw new CabstandError('INVALID_ARGUMENT', 'export: the session is not durable');
  if (home === undefined || standing.state.kind === 'closed')
    throw new CabstandError('SESSION_UNKNOWN', 'export: no hoster has the session');
  if (active?.live !== undefined)
    throw new CabstandError('SESSION_BUSY', 'export: a live turn runs, end it first');
  if (active?.readAhead === true)
    throw new CabstandError(
      'SESSION_BUSY',
      'export: records that were read ahead are not yet the application’s: read the turn on first',
    );
  return {
    sessionId: standing.sessionId,
    model: settings.model,
    digest: standing.digest,
    priority: settings.priority,
    epoch: standing.highestEpoch,
    servedEpoch: standing.servedEpoch,
    node: { nodeId: home.nodeId, incarnation: home.incarnation, address: home.address },
    position: standing.guard.next,
    turn: standing.turn,
    checkpoint: continuation.checkpoint,
    past: continuation.past,
    running:
      active === undefined
        ? standing.pending
        : { start: active.position, input: active.input, chunks: active.chunks },
    module:
      survival === undefined
        ? undefined
        : {
            survival,
            given: continuation.given,
            chain: continuation.chain,
            commands: commands.kept,
          },
  };
}
