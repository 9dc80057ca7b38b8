import type { Session } from '../session';
import { Ranking } from './ranking';
import type { Shares } from './shares';
import { leastMissed } from './usage';

/** What a session costs the main process beside what it keeps, in bytes: `bench -- idle` saw 14 to 20 KiB. */
const SESSION_BYTES = 16 * 1024;

/** Bytes that a session holds, with what it costs itself. */
export function bytesHeld({ heldBytes }: Pick<Session, 'heldBytes'>): number {
  return SESSION_BYTES + heldBytes;
}

/** A session that is counted, and whose it is. */
type Counted = Pick<Session, 'heldBytes' | 'principal'>;

/**
 * The bytes that all sessions hold. They change with each record, so they are counted once a second; what opens
 * and ends in between is added and taken off.
 */
export class Held {
  #bytes = 0;
  /** What each of them was counted for. */
  readonly #each = new Map<Counted, number>();
  readonly #principals = new Ranking<string>();

  get bytes(): number {
    return this.#bytes;
  }

  /** What the sessions of the principal hold. */
  of(principal: string): number {
    return this.#principals.weightOf(principal);
  }

  /** Who holds most beside this principal. */
  mostBeside(principal: string): string | undefined {
    return this.#principals.topBeside(principal);
  }

  count(sessions: Iterable<Counted>): void {
    this.#bytes = 0;
    this.#each.clear();
    const totals = new Map<string, number>();
    for (const session of sessions) {
      const bytes = bytesHeld(session);
      const { principal } = session;
      this.#bytes += bytes;
      this.#each.set(session, bytes);
      totals.set(principal, (totals.get(principal) ?? 0) + bytes);
    }
    this.#principals.clear();
    for (const [principal, bytes] of totals) this.#principals.set(principal, bytes);
  }

  opened(session: Counted): void {
    const bytes = bytesHeld(session);
    this.#each.set(session, bytes);
    this.#change(session, bytes);
  }

  ended(session: Counted): void {
    this.#change(session, -(this.#each.get(session) ?? 0));
    this.#each.delete(session);
  }

  #change({ principal }: Counted, bytes: number): void {
    this.#bytes += bytes;
    this.#principals.set(principal, this.#principals.weightOf(principal) + bytes);
  }
}

/** What one principal holds, or would give up. */
interface Pile {
  readonly principal: string;
  readonly sessions: readonly Session[];
  bytes: number;
}

/** Sessions which hold `bytes` together: of whoever holds most, the one that holds most. */
export function bulkiest(open: Shares<Session>, bytes: number): readonly Session[] {
  const piles = open.all().map(([principal, held]) => {
    const sessions = [...held].sort((a, b) => bytesHeld(b) - bytesHeld(a));
    return { ...pileOf(principal, sessions), next: 0 };
  });
  return takenFrom(piles, bytes);
}

/** The next one of the largest pile, again and again, until they hold `bytes` or there are no more. */
function takenFrom(piles: readonly (Pile & { next: number })[], bytes: number): readonly Session[] {
  const chosen: Session[] = [];
  for (let left = bytes; left > 0;) {
    const pile = largest(piles);
    const session = pile?.sessions[pile.next];
    if (pile === undefined || session === undefined) break;
    pile.next++;
    pile.bytes -= bytesHeld(session);
    left -= bytesHeld(session);
    chosen.push(session);
  }
  return chosen;
}

/**
 * Sessions of whoever holds most bytes, which hold `bytes` together, for a principal that holds less than its
 * part of `limit`; none where that is not so, or would not do.
 */
export function heaviest(
  held: Held,
  open: Shares<Session>,
  principal: string,
  bytes: number,
  limit: number,
  now: number,
): readonly Session[] {
  const part = open.portion(principal, limit);
  const most = held.mostBeside(principal);
  if (most === undefined || held.of(principal) >= part || held.of(most) <= part) return [];
  const rest = new Set([...open.heldBy(most)].filter(({ state }) => state !== 'closing'));
  const chosen: Session[] = [];
  for (let left = bytes; left > 0;) {
    const session = leastMissed(rest, now);
    if (session === undefined) return [];
    rest.delete(session);
    left -= bytesHeld(session);
    chosen.push(session);
  }
  return chosen;
}

/** Bytes that these sessions hold. */
function sumOf(sessions: readonly Session[]): number {
  return sessions.reduce((sum, one) => sum + bytesHeld(one), 0);
}

function pileOf(principal: string, sessions: readonly Session[]): Pile {
  return { principal, sessions, bytes: sumOf(sessions) };
}

function largest<P extends Pile>(piles: readonly P[]): P | undefined {
  let most: P | undefined;
  for (const pile of piles) if (pile.bytes > (most?.bytes ?? 0)) most = pile;
  return most;
}
