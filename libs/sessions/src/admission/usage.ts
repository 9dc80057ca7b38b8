import type { Session } from '../session';

/** A stream that waits for its caller counts as silent after this, in milliseconds. */
const SILENT_MS = 5000;

/** A session, as far as it matters how little it would be missed. */
export type Used = Pick<
  Session,
  | 'retention'
  | 'revivable'
  | 'state'
  | 'turn'
  | 'turnRuns'
  | 'betweenTurns'
  | 'awaitsInput'
  | 'delivered'
  | 'openedAt'
  | 'since'
>;

/** A stream between two turns is left its slot for so long, in milliseconds: the next one often follows at once. */
const SETTLED_MS = 1000;

/**
 * Between two turns, with nothing to send: it holds memory and no slot, and is the first to go where memory is
 * short. A durable one only when it can be revived, whether its consumer has its stream open or not; another one only
 * when nobody reads it.
 */
export function isIdle({ retention, revivable, state, betweenTurns }: Used): boolean {
  if (!betweenTurns) return false;
  if (state === 'orphaned') return retention === 'kept' || revivable;
  return state === 'streaming' && revivable;
}

/** Whether it gives its slot back now: one whose consumer has its stream open does so after a moment. */
export function rests(session: Used, now: number): boolean {
  return isIdle(session) && (session.state === 'orphaned' || now - session.since >= SETTLED_MS);
}

/**
 * The one that is missed least: idle and revivable (the longest idle), then between turns without a reader, then without a reader
 * (the longest), then waiting for its caller's input (the longest silent), then running (the newest).
 */
export function leastMissed<T extends Used>(sessions: Iterable<T>, now: number): T | undefined {
  let least: T | undefined;
  for (const session of sessions)
    if (least === undefined || missedLess(session, least, now)) least = session;
  return least;
}

function missedLess(one: Used, other: Used, now: number): boolean {
  const [a, b] = [rankOf(one, now), rankOf(other, now)];
  if (a !== b) return a < b;
  return a === RUNNING ? one.openedAt >= other.openedAt : one.since < other.since;
}

const RUNNING = 4;

function rankOf(session: Used, now: number): number {
  const { state, turn, turnRuns, awaitsInput, delivered, since } = session;
  if (rests(session, now)) return session.revivable ? 0 : 1;
  if (state === 'orphaned') {
    // One that was only just opened has no reader yet.
    if (turn < 0) return RUNNING;
    return turnRuns || !delivered ? 2 : 1;
  }
  return (awaitsInput || !turnRuns) && now - since >= SILENT_MS ? 3 : RUNNING;
}
