import type { Session } from './session';

/** A stream that waits for its caller counts as silent after this, in milliseconds. */
const SILENT_MS = 5000;

/** A session, as far as it matters how little it would be missed. */
export type Used = Pick<
  Session,
  'retention' | 'state' | 'turn' | 'turnRuns' | 'awaitsInput' | 'delivered' | 'openedAt' | 'since'
>;

/** Kept between two turns, and nobody reads it: the first to go where there is no room. */
export function isIdle({ retention, state, turn, turnRuns }: Used): boolean {
  return retention === 'kept' && state === 'orphaned' && turn >= 0 && !turnRuns;
}

/**
 * The one that is missed least: between turns without a reader (the longest idle), then without a reader
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

const RUNNING = 3;

function rankOf(session: Used, now: number): number {
  const { state, turn, turnRuns, awaitsInput, delivered, since } = session;
  if (state === 'orphaned') {
    // One that was only just opened has no reader yet.
    if (turn < 0) return RUNNING;
    return turnRuns || !delivered ? 1 : 0;
  }
  return (awaitsInput || !turnRuns) && now - since >= SILENT_MS ? 2 : RUNNING;
}
