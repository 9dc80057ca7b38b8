/** How a session ends when its engine can compute no more of it. */
import { CabstandError } from '@cabstand/core';
import type { ModelStatus } from './engine';
import type { StopReason, TurnEnd } from '@cabstand/engine';
import type { EndReason, SessionEnd } from '../types';

/** The engine is gone, and the session does not go on in another. */
export function endAfter(error: CabstandError): SessionEnd {
  if (exchanged(error)) return { reason: 'lost', error: otherFiles(error) };
  return { reason: error.reason === 'DRAINING' ? 'evicted' : 'lost', error };
}

/** A model that served is not started again only where its files are others now, or none. */
function exchanged({ reason, metadata }: CabstandError): boolean {
  return reason === 'MANIFEST_INVALID' || metadata['cause'] === 'MANIFEST_INVALID';
}

/** Another hoster may still have the files that the session began with. */
function otherFiles(cause: CabstandError): CabstandError {
  return new CabstandError(
    'SESSION_LOST',
    'the engine is gone, and the files of the model, its weights or its code, are not those that the session ' +
      'began with: it cannot go on with others',
    { metadata: { problem: 'other_weights' }, cause },
  );
}

/** How a session ends that has lost its engine; undefined where it goes on in the next one. */
export function endOfDeath(
  error: CabstandError,
  status: ModelStatus,
  session: {
    /** There is what it takes. */
    readonly rebuilds: boolean;
    /** Of a module: why it does not outlive its engine. */
    readonly lost: CabstandError | undefined;
  },
): SessionEnd | undefined {
  if (status.state === 'failed') return endAfter(status.error);
  if (error.reason === 'DRAINING') return endAfter(error);
  if (session.lost !== undefined) return endAfter(session.lost);
  return session.rebuilds ? undefined : endAfter(error);
}

const STOPS: Partial<Record<EndReason, StopReason>> = {
  completed: 'stopped',
  stopped: 'stopped',
  cancelled: 'cancelled',
  timed_out: 'timed_out',
  evicted: 'evicted',
};

/** What a module is told whose session is to end like this; undefined where there is nobody to tell. */
export const stopOf = ({ reason }: SessionEnd): StopReason | undefined => STOPS[reason];

/** How the session of a module ends whose turn has ended. */
export function endWithTurn(end: TurnEnd): SessionEnd {
  if (end.reason !== 'error') return { reason: end.reason };
  const { reason, message, metadata } = end.error;
  const error = new CabstandError(reason, message, { metadata });
  return { reason: reason === 'SESSION_LOST' ? 'lost' : 'error', error };
}

/** Computed again, the turn ended at `end`, before the consumer's next position. */
export function shortOf(next: number, end: number): SessionEnd {
  const error = new CabstandError(
    'SESSION_LOST',
    `computed again, the turn ended at position ${end}, but record ${next - 1} was delivered`,
    { metadata: { position: String(end), delivered_position: String(next - 1) } },
  );
  return { reason: 'lost', error };
}

/** An author who commits waits for input that cannot come before his checkpoint, which he does not come to. */
export function inputUncommitted({ parts, bytes }: { parts: number; bytes: number }): SessionEnd {
  const error = new CabstandError(
    'MODULE_FAILED',
    `${parts} parts of live input of ${bytes} bytes wait for a checkpoint, and no more may ` +
      '(limits.live_parts, limits.live_bytes): call ctx.checkpoint() more often',
    { metadata: { problem: 'uncommitted', parts: String(parts), bytes: String(bytes) } },
  );
  return { reason: 'error', error };
}

/** No message can hold a record together with the checkpoint behind it. */
export function uncommittable(bytes: number): SessionEnd {
  const error = new CabstandError(
    'MODULE_FAILED',
    `a checkpoint of ${bytes} bytes is too large for a message (rpc.max_message_bytes)`,
    { metadata: { problem: 'checkpoint_too_large', bytes: String(bytes) } },
  );
  return { reason: 'error', error };
}
