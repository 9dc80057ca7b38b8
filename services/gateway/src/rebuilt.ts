/** Turns of which this gateway has nothing, and hosters perhaps less than is wanted: callers bring what it takes. */
import { CabstandError, invalid, systemClock } from '@cabstand/core';
import type { Session } from '@cabstand/client';
import { encodeHandle, findSession } from '@cabstand/client/protocol';
import type { Checkpoint, SessionStatus, Target, TurnInput } from '@cabstand/client/protocol';
import type { Caller } from './callers';

/** For hosters to say how a session stands, in milliseconds: who takes longer is taken for dead. */
const ASK_MS = 5000;

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
 * A session that goes on within the turn, as if its gateway before had exported it: where its hoster keeps less than is
 * wanted, or is gone, the turn is computed again and only what is wanted is given. Undefined where a hoster runs the
 * turn and keeps all that is wanted: it knows whether the input is the same. Throws POSITION_INVALID, TURN_OUT_OF_ORDER where a later turn has begun, SESSION_ENDED, NO_NODE.
 */
export async function rebuilt(
  caller: Caller,
  { id, model, from, fromField }: Wanted,
  { turn, input, checkpoint }: Brought,
): Promise<Session | undefined> {
  const start = checkpoint?.position ?? 0;
  if (from < start) throw invalid('POSITION_INVALID', fromField, from, `at least ${start}`);
  const found = await lastPlace(caller, id, model);
  const { status } = found;
  if (status !== undefined) check(status, { turn, start, from, fromField });
  if (status?.turn === turn && from > status.acknowledgedPosition) return undefined;
  return caller.manager.import(
    encodeHandle({
      ...{ sessionId: id, model, digest: '', priority: 0, node: found.node },
      ...{ epoch: status?.epoch ?? 0, position: from, turn, checkpoint, past: [] },
      running: { start, input, chunks: 0 },
    }),
  );
}

/** Throws where the session is past what is wanted, or has not come to it. */
function check(
  { turn: newest, turnRuns, position }: SessionStatus,
  wanted: Pick<Wanted, 'from' | 'fromField'> & { readonly turn: number; readonly start: number },
): void {
  const { turn, start, from, fromField } = wanted;
  const next = turnRuns || newest > turn ? newest : newest + 1;
  if (next > turn && (newest > turn || from === position))
    throw invalid('TURN_OUT_OF_ORDER', 'turn', turn, String(next));
  if (newest === turn && from > position)
    throw invalid('POSITION_INVALID', fromField, from, `${start} to ${position}`);
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
