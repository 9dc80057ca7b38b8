import { CabstandError } from '@cabstand/core';
import type { Clock, Timer } from '@cabstand/core';
import { Holdings } from './holdings';
import type { Slot } from '../registry/node';
import type { TicketClaims } from './ticket';

/** A reservation of one slot for one principal. */
export interface Lease extends TicketClaims {
  readonly slot: Slot;
  /** The session that goes on with it; undefined for any other. */
  readonly resumes: string | undefined;
  /** One of a pack beyond the first: that nobody uses it says nothing of the node. */
  readonly spare: boolean;
  /** Monotonic time until which the slot stays reserved if no heartbeat lists the lease. */
  readonly heldUntil: number;
}

/**
 * How a reservation ended. `reclaimed`: unused, it went to a principal that held fewer; its ticket
 * stays good, as the hint that it is.
 */
export type LeaseEnd = 'consumed' | 'expired' | 'released' | 'reclaimed' | 'node_lost';

export interface LeaseOptions {
  readonly clock: Clock;
  readonly newId: () => string;
  readonly reservationMs: number;
  readonly maxReservations: number;
  readonly maxReservationsPerPrincipal: number;
  /** The slot has more or less room now. */
  readonly changed: (slot: Slot) => void;
  readonly ended: (lease: Lease, end: LeaseEnd) => void;
}

/** Reservations: they count at once, and end when consumed, when unused for too long, or with the node. */
export class Leases {
  /** In order of expiry, nearly: the time to live only changes with the heartbeat period. */
  readonly #leases = new Map<string, Lease>();
  readonly #holdings = new Holdings<Lease>();
  /** The reservation of each session that goes on from elsewhere. */
  readonly #resuming = new Map<string, string>();
  #timer: Timer | undefined;

  constructor(private readonly options: LeaseOptions) {}

  get size(): number {
    return this.#leases.size;
  }

  /** Entries of all maps: 0 once every reservation has ended. */
  get footprint(): number {
    return this.#leases.size + this.#holdings.size + this.#resuming.size;
  }

  get(leaseId: string): Lease | undefined {
    return this.#leases.get(leaseId);
  }

  /** Unused reservations of the model that the principal holds. */
  held(model: string, principal: string): number {
    return this.#holdings.held(model, principal);
  }

  /** Other principals that hold any. */
  others(model: string, principal: string): number {
    return this.#holdings.others(model, principal);
  }

  /**
   * Throws QUOTA_EXCEEDED or HOSTER_FULL where the limits on reservations are reached. Where all are
   * taken, one is taken back from the principal that holds most, for one that holds fewer.
   */
  checkRoom(principal: string): void {
    const { maxReservations, maxReservationsPerPrincipal, reservationMs } = this.options;
    this.sweep();
    if (this.#holdings.total(principal) >= maxReservationsPerPrincipal)
      throw new CabstandError(
        'QUOTA_EXCEEDED',
        `this principal holds ${maxReservationsPerPrincipal} unused reservations, the most allowed`,
        { metadata: { limit: 'maxReservationsPerPrincipal' }, retryAfterMs: reservationMs / 10 },
      );
    if (this.#leases.size >= maxReservations && !this.#takeBackFor(principal))
      throw new CabstandError('HOSTER_FULL', 'the router holds as many reservations as it may', {
        metadata: { limit: 'maxReservations' },
        retryAfterMs: reservationMs / 10,
      });
  }

  /** Whether the principal may hold another one though none is taken from anybody for it. */
  hasRoom(principal: string): boolean {
    const { maxReservations, maxReservationsPerPrincipal } = this.options;
    return (
      this.#leases.size < maxReservations &&
      this.#holdings.total(principal) < maxReservationsPerPrincipal
    );
  }

  /** Reserves a slot for a principal, or for its session `resumes` that goes on from elsewhere. */
  reserve(slot: Slot, principal: string, resumes?: string, spare = false): Lease {
    const { clock, reservationMs } = this.options;
    const { node } = slot;
    // The heartbeat that tells of the lease's use may come a whole period after the use: until then
    // the slot must not look free.
    const heldMs = Math.max(reservationMs, 2 * node.periodMs);
    const lease: Lease = {
      leaseId: this.options.newId(),
      model: slot.model,
      nodeId: node.id,
      incarnation: node.incarnation,
      principal,
      expiresMs: clock.now() + reservationMs,
      slot,
      resumes,
      spare,
      heldUntil: clock.monotonic() + heldMs,
    };
    this.#leases.set(lease.leaseId, lease);
    slot.leases.add(lease.leaseId);
    this.#holdings.add(lease);
    if (resumes !== undefined) this.#resuming.set(resumingKey(lease), lease.leaseId);
    this.options.changed(slot);
    this.#arm();
    return lease;
  }

  /** Ends a reservation; false if there is none of this id. */
  end(leaseId: string, end: LeaseEnd): boolean {
    const lease = this.#leases.get(leaseId);
    if (lease === undefined) return false;
    this.#leases.delete(leaseId);
    const { slot } = lease;
    slot.leases.delete(leaseId);
    this.#holdings.remove(lease);
    if (lease.resumes !== undefined && this.#resuming.get(resumingKey(lease)) === leaseId)
      this.#resuming.delete(resumingKey(lease));
    this.options.changed(slot);
    this.options.ended(lease, end);
    return true;
  }

  /** Ends a reservation that its principal will not use; others' are left alone. */
  giveBack(leaseId: string, principal: string): void {
    if (this.#leases.get(leaseId)?.principal === principal) this.end(leaseId, 'released');
  }

  /** Ends what is reserved for a session that goes on from elsewhere: it needs one place, not two. */
  endResuming(principal: string, sessionId: string): void {
    const leaseId = this.#resuming.get(resumingKey({ principal, resumes: sessionId }));
    if (leaseId !== undefined) this.end(leaseId, 'released');
  }

  /**
   * Takes the oldest unused reservation of the model, on a slot that passes, back from the principal
   * that holds most, for one that holds at least two fewer. Gives its slot; undefined if there is none.
   */
  reclaim(model: string, principal: string, passes: (slot: Slot) => boolean): Slot | undefined {
    const lease = this.#holdings.takeable(model, principal, ({ slot }) => passes(slot));
    if (lease === undefined) return undefined;
    this.end(lease.leaseId, 'reclaimed');
    return lease.slot;
  }

  /** Ends what is reserved on a slot that goes away. */
  endAll(slot: Slot): void {
    for (const leaseId of [...slot.leases]) this.end(leaseId, 'node_lost');
  }

  /** Ends reservations that have not been used in time. */
  sweep(): void {
    const now = this.options.clock.monotonic();
    for (const lease of this.#leases.values()) {
      if (lease.heldUntil > now) break;
      this.end(lease.leaseId, 'expired');
    }
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #takeBackFor(principal: string): boolean {
    const richest = this.#holdings.richest(principal);
    if (richest === undefined) return false;
    for (const lease of this.#leases.values())
      if (lease.principal === richest) return this.end(lease.leaseId, 'reclaimed');
    return false;
  }

  #arm(): void {
    if (this.#timer !== undefined) return;
    const first = this.#leases.values().next().value;
    if (first === undefined) return;
    const delay = Math.max(1, first.heldUntil - this.options.clock.monotonic());
    this.#timer = this.options.clock.setTimer(
      () => {
        this.#timer = undefined;
        this.sweep();
        this.#arm();
      },
      delay,
      { unref: true },
    );
  }
}

function resumingKey({ principal, resumes }: Pick<Lease, 'principal' | 'resumes'>): string {
  return `${resumes ?? ''} ${principal}`;
}
