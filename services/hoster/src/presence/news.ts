import type { SessionFacts } from '../sessions/session-facts';

/** A session that has come, or was raised to an epoch. */
export interface OpenedSession {
  readonly sessionId: string;
  readonly epoch: number;
  readonly principal: string;
  readonly model: string;
}

/** What a router is told of a session. */
export function claimOf({ id, epoch, principal, model }: SessionFacts): OpenedSession {
  return { sessionId: id, epoch: epoch.counter, principal, model: model.name };
}

/** What one router has not heard yet. */
export interface NewsBatch {
  readonly consumedLeaseIds: readonly string[];
  readonly opened: readonly OpenedSession[];
  readonly closed: readonly string[];
}

const MOST_LEASES = 10_000;
const MOST_CHANGES = 20_000;

/**
 * Collects what to tell one router between heartbeats. Bounded: leases beyond the bound are left to
 * expire, and claims beyond it make the whole list be sent again (`overflown`).
 */
export class News {
  readonly #leases = new Set<string>();
  /** By session; undefined for one that closed. */
  readonly #changes = new Map<string, OpenedSession | undefined>();
  #overflown = false;

  get size(): number {
    return this.#leases.size + this.#changes.size;
  }

  /** Too much has happened: register again, which tells everything. */
  get overflown(): boolean {
    return this.#overflown;
  }

  leaseConsumed(leaseId: string): void {
    if (this.#leases.size < MOST_LEASES) this.#leases.add(leaseId);
  }

  sessionOpened(session: OpenedSession): void {
    this.#change(session.sessionId, session);
  }

  sessionClosed(sessionId: string): void {
    this.#change(sessionId, undefined);
  }

  /** Starts anew with all sessions there are: the router knows nothing of what was. */
  reset(sessions: Iterable<OpenedSession>): void {
    this.#changes.clear();
    this.#overflown = false;
    for (const session of sessions) this.#changes.set(session.sessionId, session);
  }

  take(): NewsBatch {
    const batch = {
      consumedLeaseIds: [...this.#leases],
      opened: [...this.#changes.values()].flatMap((opened) => opened ?? []),
      closed: [...this.#changes].flatMap(([id, opened]) => (opened === undefined ? [id] : [])),
    };
    this.#leases.clear();
    this.#changes.clear();
    return batch;
  }

  #change(sessionId: string, opened: OpenedSession | undefined): void {
    if (this.#changes.size >= MOST_CHANGES && !this.#changes.has(sessionId)) this.#overflown = true;
    else this.#changes.set(sessionId, opened);
  }
}
