import type { SessionFacts } from '@cabstand/sessions';

/** A session that has come, was raised to an epoch, became idle or runs again, or went. */
export interface ToldSession {
  readonly sessionId: string;
  readonly epoch: number;
  readonly principal: string;
  readonly model: string;
  /** It holds no slot. */
  readonly idle: boolean;
}

/** What a router is told of a session. */
export function claimOf({ id, epoch, principal, model, idle }: SessionFacts): ToldSession {
  return { sessionId: id, epoch: epoch.counter, principal, model: model.name, idle };
}

/** What one router has not heard yet. */
export interface NewsBatch {
  readonly consumedLeaseIds: readonly string[];
  readonly opened: readonly ToldSession[];
  readonly closed: readonly ToldSession[];
}

const MOST_LEASES = 10_000;
const MOST_CHANGES = 20_000;
/** Sessions that became idle or run again, in one heartbeat: the others are told of in the next ones. */
const MOST_FLIPS = 500;

/**
 * Collects what to tell one router between heartbeats. Bounded: leases beyond the bound are left to
 * expire, and claims beyond it make the whole list be sent again (`overflown`).
 */
export class News {
  readonly #leases = new Set<string>();
  /** By session: its last state. */
  readonly #changes = new Map<string, { readonly open: boolean; readonly session: ToldSession }>();
  /** Sessions that the router knows as idle and that run, or the other way round, by session. */
  readonly #flips = new Map<string, ToldSession>();
  #overflown = false;

  get size(): number {
    return this.#leases.size + this.#changes.size + this.#flips.size;
  }

  /** Too much has happened: register again, which tells everything. */
  get overflown(): boolean {
    return this.#overflown;
  }

  leaseConsumed(leaseId: string): void {
    if (this.#leases.size < MOST_LEASES) this.#leases.add(leaseId);
  }

  sessionOpened(session: ToldSession): void {
    this.#change(true, session);
  }

  /** It became idle, or runs again: twice is as good as never. */
  sessionFlipped(session: ToldSession): void {
    const key = keyOf(session);
    if (this.#changes.has(key)) this.#change(true, session);
    else if (!this.#flips.delete(key)) this.#flips.set(key, session);
  }

  sessionClosed(session: ToldSession): void {
    this.#change(false, session);
  }

  /** Starts anew with all sessions there are: the router knows nothing of what was. */
  reset(sessions: Iterable<ToldSession>): void {
    this.#changes.clear();
    this.#flips.clear();
    this.#overflown = false;
    for (const session of sessions) this.#changes.set(keyOf(session), { open: true, session });
  }

  take(): NewsBatch {
    const changes = [...this.#changes.values()];
    const flipped: ToldSession[] = [];
    for (const [key, session] of this.#flips) {
      if (flipped.length === MOST_FLIPS) break;
      flipped.push(session);
      this.#flips.delete(key);
    }
    const batch = {
      consumedLeaseIds: [...this.#leases],
      opened: [...changes.flatMap(({ open, session }) => (open ? [session] : [])), ...flipped],
      closed: changes.flatMap(({ open, session }) => (open ? [] : [session])),
    };
    this.#leases.clear();
    this.#changes.clear();
    return batch;
  }

  #change(open: boolean, session: ToldSession): void {
    const key = keyOf(session);
    this.#flips.delete(key);
    if (this.#changes.size >= MOST_CHANGES && !this.#changes.has(key)) this.#overflown = true;
    else this.#changes.set(key, { open, session });
  }
}

function keyOf({ sessionId, principal }: ToldSession): string {
  return `${sessionId} ${principal}`;
}
