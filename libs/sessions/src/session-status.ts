/** How a session is, as its owner may ask at any time. */
import type { SessionFacts } from './session-facts';
import type { SessionEnd, SessionStatus } from './types';

/** What is told of a session beyond what observers know. */
interface Asked extends Pick<SessionFacts, 'id' | 'state' | 'position' | 'epoch'> {
  readonly model: { readonly name: string };
  readonly turn: number;
  readonly turnRuns: boolean;
  /** The oldest position that can still be sent. */
  readonly base: number;
  readonly end: SessionEnd | undefined;
}

/** A named session that waits for a slot. */
export interface Waiting {
  readonly model: string;
  /** Counter of its epoch. */
  readonly epoch: number;
}

export function statusOf(session: Asked): SessionStatus {
  const { id, state, position, turn, turnRuns, base, epoch, model, end } = session;
  const acknowledged = base - 1;
  const facts = { position, turn, turnRuns, acknowledged, epoch: epoch.counter, model: model.name };
  return { id, state, ...facts, end: end && toKeep(end) };
}

/** Many are remembered, for long: none may hold the session, or the call, in which it came about. */
function toKeep({ reason, error }: SessionEnd): SessionEnd {
  return error === undefined ? { reason } : { reason, error: error.toKeep() };
}

export function waitingStatus(id: string, { epoch, model }: Waiting): SessionStatus {
  const nothingYet = { position: 0, turn: -1, turnRuns: false, acknowledged: -1, end: undefined };
  return { id, state: 'waiting', ...nothingYet, epoch, model };
}
