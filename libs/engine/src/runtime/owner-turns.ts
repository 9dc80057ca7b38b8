import type { Sequence, Stepper } from './sequence';

/** So many are remembered before it is looked for some that may be forgotten. */
const FEW_OWNERS = 128;

/**
 * Shares steps evenly between the owners of sequences, after start-time fair queueing (Goyal, Vin and
 * Cheng 1996): each owner has the rows that it was given while others waited, and whoever has least leads.
 * Who comes anew, or comes back, begins where the leader is: idle time is not saved up.
 */
export class OwnerTurns {
  readonly #served = new Map<string, number>();
  /** What the last leader had been given. */
  #floor = 0;
  #remembered = FEW_OWNERS;

  /** Below 0: `a` goes first. */
  compare(a: string, b: string): number {
    return a === b ? 0 : this.#of(a) - this.#of(b);
  }

  /** The candidates so that their owners alternate; the first stays first, and an owner's stay in order. */
  inTurn<S extends Sequence>(candidates: readonly S[]): readonly S[] {
    const queues = new Map<string, S[]>();
    for (const candidate of candidates) {
      const queue = queues.get(candidate.owner);
      if (queue === undefined) queues.set(candidate.owner, [candidate]);
      else queue.push(candidate);
    }
    if (queues.size === 1) return candidates;
    const [leader, ...others] = queues;
    if (leader === undefined) return candidates;
    others.sort(([a], [b]) => this.compare(a, b));
    const order = [leader, ...others].map(([, queue]) => queue);
    const turns: S[] = [];
    for (let round = 0; turns.length < candidates.length; round++)
      for (const queue of order) {
        const next = queue[round];
        if (next !== undefined) turns.push(next);
      }
    return turns;
  }

  /** Counts the rows of a batch that did not hold everybody. */
  count<S extends Sequence>(
    lead: S,
    batch: readonly S[],
    stepper: Pick<Stepper<S>, 'maxBatch' | 'weight'>,
  ): void {
    this.#floor = this.#of(lead.owner);
    // An owner that shares its steps with few others gets ahead of them only so far: nobody waits longer.
    const most = this.#floor + stepper.maxBatch;
    for (const sequence of batch) {
      const served = this.#of(sequence.owner) + stepper.weight(sequence);
      this.#served.set(sequence.owner, Math.min(served, most));
    }
    if (this.#served.size > this.#remembered) this.#forget();
  }

  #of(owner: string): number {
    return Math.max(this.#served.get(owner) ?? 0, this.#floor);
  }

  /** Who is not ahead of the leader is where a newcomer would be. */
  #forget(): void {
    for (const [owner, served] of this.#served)
      if (served <= this.#floor) this.#served.delete(owner);
    this.#remembered = Math.max(FEW_OWNERS, 2 * this.#served.size);
  }
}
