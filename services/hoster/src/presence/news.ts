import type { SessionFacts } from '../sessions/session-facts';

/** Durable session of a principal, which may share its id with those of others. */
export interface Claim {
  readonly id: string;
  readonly principal: string;
  readonly model: string;
  readonly epoch: number;
}

/** What one router has not heard yet. */
export interface NewsBatch {
  readonly consumedLeaseIds: readonly string[];
  readonly opened: readonly Claim[];
  /** Ids. */
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
  /** By session: its claim, or that it closed. */
  readonly #changes = new Map<string, Change>();
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

  sessionOpened(claim: Claim): void {
    this.#change({ kind: 'opened', claim });
  }

  sessionClosed(claim: Claim): void {
    this.#change({ kind: 'closed', claim });
  }

  /** Starts anew with all sessions there are: the router knows nothing of what was. */
  reset(claims: Iterable<Claim>): void {
    this.#changes.clear();
    this.#overflown = false;
    for (const claim of claims) this.#changes.set(keyOf(claim), { kind: 'opened', claim });
  }

  take(): NewsBatch {
    const changes = [...this.#changes.values()];
    const of = (kind: Change['kind']): Claim[] =>
      changes.flatMap((change) => (change.kind === kind ? [change.claim] : []));
    const batch = {
      consumedLeaseIds: [...this.#leases],
      opened: of('opened'),
      closed: of('closed').map(({ id }) => id),
    };
    this.#leases.clear();
    this.#changes.clear();
    return batch;
  }

  #change(change: Change): void {
    const key = keyOf(change.claim);
    if (this.#changes.size >= MOST_CHANGES && !this.#changes.has(key)) this.#overflown = true;
    else this.#changes.set(key, change);
  }
}

interface Change {
  readonly kind: 'opened' | 'closed';
  readonly claim: Claim;
}

const keyOf = ({ id, principal }: Claim): string => `${id} ${principal}`;

/** What routers are told of a durable session. */
export const claimOf = ({ id, principal, model, epoch }: SessionFacts): Claim => ({
  id,
  principal,
  model: model.name,
  epoch: epoch.counter,
});
