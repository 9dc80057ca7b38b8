/** How a session is, as its owner may ask at any time. */
import type { SessionFacts } from './session-facts';
import type { SessionEnd, SessionStatus } from './types';

/** What is told of a session beyond what observers know. */
interface Asked extends SessionFacts {
  readonly turn: number;
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
  const { id, state, position, turn, base, epoch, model, end } = session;
  const acknowledged = base - 1;
  return { id, state, position, turn, acknowledged, epoch: epoch.counter, model: model.name, end };
}

export function waitingStatus(id: string, { epoch, model }: Waiting): SessionStatus {
  const nothingYet = { position: 0, turn: -1, acknowledged: -1, end: undefined };
  return { id, state: 'waiting', ...nothingYet, epoch, model };
}
