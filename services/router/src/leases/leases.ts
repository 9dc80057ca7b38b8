import { CabstandError } from '@cabstand/core';
import type { Clock, Timer } from '@cabstand/core';
import type { Slot } from '../registry/node';
import type { TicketClaims } from './ticket';

/** A reservation of one slot for one principal. */
export interface Lease extends TicketClaims {
  readonly slot: Slot;
  /** Monotonic time until which the slot stays reserved if no heartbeat lists the lease. */
  readonly heldUntil: number;
}

/** How a reservation ended. */
export type LeaseEnd = 'consumed' | 'expired' | 'released' | 'node_lost';

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
  readonly #byPrincipal = new Map<string, number>();
  #timer: Timer | undefined;

  constructor(private readonly options: LeaseOptions) {}

  get size(): number {
    return this.#leases.size;
  }

  /** Entries of all maps: 0 once every reservation has ended. */
  get footprint(): number {
    return this.#leases.size + this.#byPrincipal.size;
  }

  get(leaseId: string): Lease | undefined {
    return this.#leases.get(leaseId);
  }

  /** Throws QUOTA_EXCEEDED or HOSTER_FULL where the limits on reservations are reached. */
  checkRoom(principal: string): void {
    const { maxReservations, maxReservationsPerPrincipal, reservationMs } = this.options;
    this.sweep();
    if ((this.#byPrincipal.get(principal) ?? 0) >= maxReservationsPerPrincipal)
      throw new CabstandError(
        'QUOTA_EXCEEDED',
        `this principal holds ${maxReservationsPerPrincipal} unused reservations, the most allowed`,
        { metadata: { limit: 'maxReservationsPerPrincipal' }, retryAfterMs: reservationMs / 10 },
      );
    if (this.#leases.size >= maxReservations)
      throw new CabstandError('HOSTER_FULL', 'the router holds as many reservations as it may', {
        metadata: { limit: 'maxReservations' },
        retryAfterMs: reservationMs / 10,
      });
  }

  reserve(slot: Slot, principal: string): Lease {
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
      heldUntil: clock.monotonic() + heldMs,
    };
    this.#leases.set(lease.leaseId, lease);
    slot.leases.add(lease.leaseId);
    this.#byPrincipal.set(principal, (this.#byPrincipal.get(principal) ?? 0) + 1);
    this.options.changed(slot);
    this.#arm();
    return lease;
  }

  /** Ends a reservation; false if there is none of this id. */
  end(leaseId: string, end: LeaseEnd): boolean {
    const lease = this.#leases.get(leaseId);
    if (lease === undefined) return false;
    this.#leases.delete(leaseId);
    const { slot, principal } = lease;
    slot.leases.delete(leaseId);
    const held = (this.#byPrincipal.get(principal) ?? 1) - 1;
    if (held > 0) this.#byPrincipal.set(principal, held);
    else this.#byPrincipal.delete(principal);
    this.options.changed(slot);
    this.options.ended(lease, end);
    return true;
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
