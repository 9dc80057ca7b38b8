/** Turns of which this gateway has nothing, and hosters perhaps less than is wanted: callers bring what it takes. */
import { CabstandError, invalid, systemClock } from '@cabstand/core';
import type { Session } from '@cabstand/client';
import { encodeHandle, findSession } from '@cabstand/client/protocol';
import type { Checkpoint, SessionStatus, Target, TurnInput } from '@cabstand/client/protocol';
import type { Caller } from './callers';

/** For hosters to say how a session stands, in milliseconds. */
const ASK_MS = 1000;

/** What a turn is computed from, as its caller gives it with each attempt. */
export interface Brought {
  readonly turn: number;
  readonly input: TurnInput;
  /** The session as the turn before ended; undefined for the first turn. */
  readonly checkpoint: Checkpoint | undefined;
}

/** A turn from a position on. */
export interface Wanted {
  readonly id: string;
  readonly model: string;
  readonly from: number;
  /** What callers call `from`. */
  readonly fromField: string;
}

/**
 * A session that goes on within the turn, as if its gateway before had exported it: its hoster sends the records that
 * it keeps; where it keeps less than is wanted, or is gone, the turn is computed again and only what is wanted is
 * given. Throws POSITION_INVALID, TURN_OUT_OF_ORDER where a later turn has begun, SESSION_ENDED, NO_NODE.
 */
export async function rebuilt(
  caller: Caller,
  { id, model, from, fromField }: Wanted,
  { turn, input, checkpoint }: Brought,
): Promise<Session> {
  const start = checkpoint?.position ?? 0;
  if (from < start) throw invalid('POSITION_INVALID', fromField, from, `at least ${start}`);
  const found = await lastPlace(caller, id, model);
  if (found.status !== undefined) check(found.status, turn, from, fromField);
  return caller.manager.import(
    encodeHandle({
      ...{ sessionId: id, model, digest: '', priority: 0, node: found.node },
      ...{ epoch: found.status?.epoch ?? 0, position: from, turn, checkpoint, past: [] },
      running: { start, input, chunks: 0 },
    }),
  );
}

/** Throws where the session is past the turn, or has come to its end before what is wanted. */
function check(at: SessionStatus, turn: number, from: number, fromField: string): void {
  if (at.turn > turn) throw invalid('TURN_OUT_OF_ORDER', 'turn', turn, `at least ${at.turn}`);
  if (at.turn === turn && !at.turnRuns && from > at.position)
    throw invalid('POSITION_INVALID', fromField, from, `at most ${at.position}`);
}

/** Where a session is, and how it stands there; or a hoster that may go on with it where none has it. */
async function lastPlace(
  { protocol, placement }: Caller,
  id: string,
  model: string,
): Promise<{ readonly node: Target; readonly status?: SessionStatus }> {
  const finding = { protocol, placement, clock: systemClock };
  try {
    return await findSession(finding, id, model, ASK_MS, undefined);
  } catch (thrown) {
    if (CabstandError.from(thrown).reason === 'SESSION_ENDED') throw thrown;
    return await placement.acquire({ model, sessionId: id, resume: true, known: true });
  }
}
