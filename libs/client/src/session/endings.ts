import { CabstandError } from '@cabstand/core';
import type { EndReason, RecordEvent } from '../protocol/events';

type End = Extract<RecordEvent, { body: 'end' }>;

/** The error a turn ended in; undefined for an orderly end. */
export function endError(end: End): CabstandError | undefined {
  switch (end.reason) {
    case 'completed':
    case 'stopped':
    case 'cancelled':
      return undefined;
    case 'timed_out':
      return (
        end.error ??
        new CabstandError('DEADLINE_EXCEEDED', "the turn ran into the hoster's time limit")
      );
    default:
      return closedError(end.reason, end.error);
  }
}

/** Whether the session went with its turn. */
export function isGone(end: End): boolean {
  if (end.reason === 'evicted' || end.reason === 'migrated' || end.reason === 'lost') return true;
  const errorClass = end.error?.class;
  return errorClass === 'node' || errorClass === 'overload' || errorClass === 'session';
}

/** Why a session that ended at the hoster cannot go on. */
export function closedError(reason: EndReason, error: CabstandError | undefined): CabstandError {
  if (error !== undefined) return error;
  switch (reason) {
    case 'evicted':
      return new CabstandError('SESSION_EVICTED', 'the hoster needed the room of the session');
    case 'lost':
    case 'migrated':
      return new CabstandError(
        'SESSION_LOST',
        `the session is not at its hoster any more (${reason})`,
      );
    case 'error':
      return new CabstandError(
        'NODE_BAD_REPLY',
        'the hoster ended the session with an error and gave none',
      );
    default:
      return new CabstandError('SESSION_ENDED', `the hoster ended the session (${reason})`, {
        metadata: { end_reason: reason },
      });
  }
}

/** An error that refuses a later turn and leaves the session as it was. */
export function turnRefusal(error: CabstandError): boolean {
  if (error.reason === 'SESSION_ENDED') return false;
  return error.class === 'caller' || error.class === 'overload' || error.class === 'auth';
}

/** Why a session that survives nothing cannot go on once its hoster or its engine is lost. */
export function noSurvival(cause: CabstandError): CabstandError {
  return new CabstandError(
    'SESSION_LOST',
    `the session's hoster or engine is lost, and its model keeps nothing of a session (survival: none): ${cause.message}`,
    { metadata: { problem: 'no_survival' }, cause },
  );
}

/** A hoster says that it has other weights, or other code, than the session began with. */
export function isExchange({ reason, metadata }: CabstandError): boolean {
  return reason === 'SESSION_LOST' && metadata['problem'] === 'other_weights';
}

/** The hoster is lost, and all that there are serve other weights or other code under the name of the model. */
export function onlyOthers(cause: CabstandError): CabstandError {
  return new CabstandError(
    'SESSION_LOST',
    `the session's hoster is lost, and the others have other weights, or other code, of its model: ${cause.message}`,
    { metadata: { problem: 'other_weights' }, cause },
  );
}

/** What runs is told when the application closes its session. */
export const sessionClosed = (): CabstandError =>
  new CabstandError('CANCELLED', 'the session was closed');
