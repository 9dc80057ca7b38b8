import { CabstandError, throwIfAborted } from '@cabstand/core';
import type { ChannelStart, PreparedChannel, SessionChannel } from '../protocol/types';
import type { Placement } from '../remote/types';
import { takenUp, tellRetry } from './break';
import type { GoingOn } from './break';
import { established, isFinal, sendTurn } from './placing';

/** Where a session may go on; `prepared` if a stream to it is open already. */
interface Candidate {
  readonly place: Placement;
  readonly prepared?: PreparedChannel;
}

/**
 * Activates a successor; undefined where it failed or refused, which is `on.last` then. Throws what
 * another one would say, too.
 */
export async function resumeAt(
  on: GoingOn,
  { place, prepared }: Candidate,
): Promise<SessionChannel | undefined> {
  const { context, standing, turn, broken, signal } = on;
  const { protocol, placement, settings, clock } = context;
  const { node, lease } = place;
  try {
    const running = {
      ...{ turn: turn.turn, input: turn.input },
      replayable: turn.live?.replayable() !== false,
    };
    const resume = {
      ...standing.continuation.resume(running, standing.guard.next - 1),
      servedEpoch: standing.servedEpoch,
    };
    broken.attempts++;
    const open: ChannelStart = {
      kind: 'open',
      sessionId: standing.sessionId,
      epoch: standing.nextEpoch(),
      durable: true,
      model: settings.model,
      priority: settings.priority,
      ticket: lease?.ticket ?? '',
      resume,
      trace: turn.trace,
    };
    standing.raiseEpoch();
    const channel = prepared?.begin(open) ?? protocol.openChannel(node, open);
    sendTurn(channel, turn);
    await established(channel, settings.timeouts.firstMs, clock, signal);
    placement.settle(node, { kind: 'served' });
    takenUp(on, node, channel);
    return channel;
  } catch (thrown) {
    const error = CabstandError.from(thrown);
    prepared?.cancel(error);
    if (standing.claimsAfter(error)) placement.settle(node, { kind: 'undecided' });
    else {
      on.last = settle(on, place, error);
      tellRetry(context, broken, error, node);
    }
    return undefined;
  }
}

/** A successor failed or refused. Throws where another one would, too. */
function settle(
  { context, signal }: GoingOn,
  { node, lease }: Placement,
  error: CabstandError,
): CabstandError {
  const { placement } = context;
  if (signal.aborted) placement.settle(node, { kind: 'undecided' });
  else if (error.class === 'node')
    placement.settle(node, { kind: 'failed', error, leaseId: lease?.id });
  else if (isFinal(error)) placement.settle(node, { kind: 'undecided' });
  else placement.settle(node, { kind: 'refused', error });
  throwIfAborted(signal);
  if (isFinal(error)) throw error;
  return error;
}
