import { CabstandError, linkSignals, throwIfAborted } from '@cabstand/core';
import type { SessionChannel, Target } from '../protocol/types';
import { nodeKey } from '../retry/exclusions';
import { goneAtHoster } from '../retry/decide';
import { takenUp } from './break';
import type { GoingOn } from './break';
import { established, isFinal, sendInput } from './placing';

/**
 * Takes the session up where it was, or where routers say that it is. Throws what another hoster would
 * say, too; otherwise gives the error of the one that had it last.
 */
export async function reattach(on: GoingOn, home: Target): Promise<SessionChannel | CabstandError> {
  const { context, standing, signal } = on;
  const { placement, settings, clock } = context;
  const attached = await attachAt(on, home);
  // Only another process can have left it anywhere else.
  if (!CabstandError.is(attached) || !standing.claims || placement.locate === undefined)
    return attached;
  using brief = linkSignals([signal], {
    ms: settings.timeouts.firstMs,
    what: 'locating the session',
    clock,
  });
  const nodes = await placement.locate(standing.sessionId, brief.signal).catch(() => []);
  for (const node of nodes) {
    if (nodeKey(node) === nodeKey(home)) continue;
    const found = await attachAt(on, node);
    if (!CabstandError.is(found)) return found;
  }
  return attached;
}

async function attachAt(on: GoingOn, node: Target): Promise<SessionChannel | CabstandError> {
  for (;;)
    try {
      return await attach(on, node);
    } catch (thrown) {
      const error = CabstandError.from(thrown);
      throwIfAborted(on.signal);
      if (on.standing.claimsAfter(error)) continue;
      if (!goneAtHoster(error) && isFinal(error)) throw error;
      return error;
    }
}

async function attach(on: GoingOn, node: Target): Promise<SessionChannel> {
  const { context, standing, turn, broken, signal } = on;
  const { protocol, placement, settings, clock } = context;
  // Another hoster may have taken it up and was not heard: what it has must not look like the newest.
  if (broken.attempts > 0) {
    standing.nextEpoch();
    standing.raiseEpoch();
  }
  const { sessionId, epoch, guard, servedEpoch, joins } = standing;
  const { firstMs, reattachMs } = settings.timeouts;
  const channel = protocol.openChannel(node, {
    kind: 'attach',
    sessionId,
    epoch,
    fromPosition: joins ? -1 : guard.next,
    servedEpoch,
    trace: turn.trace,
  });
  // It may not have come to the turn; neither may a resume that was given up, and that arrived.
  const resumed = broken.attempts > 0;
  if (!turn.taken || resumed) sendInput(channel, turn);
  // What is taken over by its name has nowhere else to go.
  await established(channel, joins ? firstMs : reattachMs, clock, signal);
  placement.settle(node, { kind: 'served' });
  takenUp(on, node, channel);
  turn.live?.started(channel, resumed);
  return channel;
}
