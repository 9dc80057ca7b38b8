import { CabstandError } from '@cabstand/core';
import type { SessionStatus, Target } from '../protocol/types';
import { findSession } from './find';
import type { FindContext, Found } from './find';

/** Where a session stood when this process had it last: enough to find out later whether another one has had it since. */
export interface Whereabouts {
  readonly sessionId: string;
  readonly model: string;
  readonly node: Target;
  /** The highest that any hoster was told. */
  readonly epoch: number;
  /** The number of the turn that runs, or of the next one. */
  readonly turn: number;
  /** The turn is under way: its hoster may be ahead of what has arrived here. */
  readonly turnRuns: boolean;
  /** The position of the next record. */
  readonly position: number;
}

/** A session that is taken over by its name. */
export interface Joining {
  /** Records below it are not wanted. */
  readonly from: number;
  /** The position of the record that its hoster computes next. */
  readonly produced: number;
}

/**
 * Whether another process has gone on with a session since: its hoster has it under a higher epoch or at another
 * place, or has it no more and another one does. False where that cannot be found out: whoever goes on with the
 * session then is told by its hoster, or resumes it.
 *
 * @param ms for the hoster to answer, and as long again for others where it does not have it
 */
export async function goneOn(
  context: FindContext,
  was: Whereabouts,
  ms: number,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const { protocol } = context;
  const { sessionId, model, node } = was;
  const asked = { signal, deadlineMs: ms };
  const status = await protocol.status(node, sessionId, asked).catch(() => undefined);
  if (status !== undefined && status.state !== 'ended' && status.state !== 'unknown')
    return differs(status, was);
  // Whoever closes a session elsewhere raises its epoch. One that its hoster ended is resumed.
  if (status !== undefined && status.epoch > was.epoch) return true;
  const found = await findSession(context, sessionId, model, ms, signal).catch(() => undefined);
  return found !== undefined && isNewer(found, was);
}

/** Whether a hoster has an open session of this name: its principal's. False where none answers. */
export async function isOpenAnywhere(
  context: FindContext,
  sessionId: string,
  model: string,
  ms: number,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  try {
    await findSession(context, sessionId, model, ms, signal);
    return true;
  } catch (thrown) {
    if (signal?.aborted === true) throw CabstandError.from(thrown);
    return false;
  }
}

/** One that was left behind when the session moved has a lower epoch. */
function isNewer({ node, status }: Found, was: Whereabouts): boolean {
  return node.address !== was.node.address && status.epoch >= was.epoch;
}

function differs(status: SessionStatus, was: Whereabouts): boolean {
  if (status.epoch > was.epoch) return true;
  // It may not have come to the turn yet.
  if (was.turnRuns) return status.turn > was.turn;
  return status.turnRuns || status.turn !== was.turn - 1 || status.position !== was.position;
}
