import { CabstandError, abortable } from '@cabstand/core';
import type { Clock } from '@cabstand/core';
import type { EventSource, SessionChannel, Target } from '../protocol/types';
import { unreserved } from '../remote/types';
import type { Placement, PlacementRequest } from '../remote/types';
import { overtaken } from '../retry/decide';
import { endedEarly, stalled } from './active-turn';
import type { ActiveTurn } from './active-turn';
import type { CoreContext, Standing } from './standing';

/**
 * Places for a session that leaves `home`, best first; an error where there are none. Never throws.
 *
 * @param known any node that is known to have room will do, without asking a router
 */
export async function placesFor(
  context: CoreContext,
  { sessionId, digest, trace }: Standing,
  home: Target,
  known: boolean,
  signal: AbortSignal,
): Promise<Placement[] | CabstandError> {
  const { settings, placement } = context;
  // State is of no use to other weights.
  const weights = settings.digest === '' ? digest : settings.digest;
  const request: PlacementRequest = {
    model: settings.model,
    allow: settings.allow,
    block: settings.block,
    resume: true,
    known,
    avoid: [home],
    sessionId,
    trace,
    ...(weights === '' ? {} : { digest: weights }),
    signal,
  };
  try {
    const first = await placement.acquire(request);
    return [first, ...first.alternatives.map(unreserved)];
  } catch (thrown) {
    return CabstandError.from(thrown);
  }
}

/** Waits for the first word of a stream, which stays to be read; cancels the stream without it. */
export async function established(
  source: EventSource,
  ms: number,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  const late = (): void => source.cancel(stalled('no answer', ms));
  const timer = clock.setTimer(late, ms, { unref: true });
  try {
    if (!(await abortable(source.wait(), signal))) throw endedEarly();
  } catch (thrown) {
    const error = CabstandError.from(thrown);
    source.cancel(error);
    throw error;
  } finally {
    timer.cancel();
  }
}

/** A hoster that is to compute a turn from where it stands gets the turn and its live input. */
export function sendTurn(channel: SessionChannel, turn: ActiveTurn): void {
  sendInput(channel, turn);
  turn.live?.started(channel, true);
}

/** The turn without its live input. */
export function sendInput(channel: SessionChannel, { turn, input, live, trace }: ActiveTurn): void {
  if (input !== undefined)
    channel.send({ kind: 'turn', turn, input, live: live !== undefined, trace });
}

/** What a hoster may lack for a checkpoint that another one takes: weights, code, keys, a newer version. */
const HOSTERS_OWN: ReadonlySet<string> = new Set([
  'other_weights',
  'unknown_key',
  'expired_key',
  'other_version',
  'code_changed',
  'runtime_differs',
]);

/** Whether no other hoster would say anything else. */
export function isFinal(error: CabstandError): boolean {
  if (overtaken(error)) return false;
  switch (error.reason) {
    // These say something about the hoster that was asked.
    case 'MODEL_UNKNOWN':
    case 'SESSION_EXISTS':
    case 'SESSION_ENDED':
    case 'NODE_UNKNOWN':
      return false;
    case 'SESSION_LOST':
    case 'CHECKPOINT_INVALID':
      return !HOSTERS_OWN.has(error.metadata['problem'] ?? '');
    default:
      return error.class === 'caller' || error.class === 'auth' || error.class === 'fatal';
  }
}
