/** Chooses which rows are computed next, of those that get a token in each step: all of one buffer. */
import { OwnerTurns } from '../../../runtime/owner-turns';
import { leads, noteStep } from '../../../runtime/scheduler';
import type { Group, Sequence } from '../../../runtime/sequence';

/** A step is one, however many rows of an owner are in it: rows in one step cost little more than one. */
const STEPS = { maxBatch: 1, weight: () => 1 };

export class DecodeTurns<S extends Sequence> {
  readonly #owners = new OwnerTurns();
  #step = 0;

  /**
   * All that lie with the leader: of the owner that was in the fewest steps the one that waited longest, or has the
   * highest priority.
   */
  next(ready: readonly S[], groupOf: (sequence: S) => Group | undefined): S[] {
    let lead = ready[0];
    if (lead === undefined) return [];
    for (const sequence of ready) if (leads(this.#owners, sequence, lead)) lead = sequence;
    const group = groupOf(lead);
    const batch = ready.filter((sequence) => groupOf(sequence) === group);
    this.#step += 1;
    if (batch.length < ready.length) {
      const owners = new Map(batch.map((sequence) => [sequence.owner, sequence]));
      this.#owners.count(lead, [...owners.values()], STEPS);
    }
    noteStep(this.#step, batch, ready);
    return batch;
  }
}
