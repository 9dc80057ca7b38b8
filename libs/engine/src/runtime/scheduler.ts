/** Chooses which sequences run next. */
import { OwnerTurns } from './owner-turns';
import type { Group, Sequence, Stepper } from './sequence';

/** What is looked at in order to choose. */
type Steps<S extends Sequence> = Pick<Stepper<S>, 'maxBatch' | 'ready' | 'group' | 'weight'>;

/** Steps of waiting that count as one level of priority: nothing starves. */
const AGING_STEPS = 8;

export class Scheduler<S extends Sequence> {
  readonly #stepper: Steps<S>;
  readonly #owners = new OwnerTurns();
  #step = 0;

  constructor(stepper: Steps<S>) {
    this.#stepper = stepper;
  }

  /**
   * The next batch: sequences of one group with work and credit, or none. The owner that was served
   * least leads, with its sequence of the highest priority (waiting raises it) and of those the one served
   * longest ago. Sequences that ran together stay together where they can, so that their state need
   * not be moved.
   */
  next(sequences: Iterable<S>): S[] {
    const ready: S[] = [];
    let lead: S | undefined;
    for (const sequence of sequences) {
      if (!isReady(this.#stepper, sequence)) continue;
      ready.push(sequence);
      if (lead === undefined || leads(this.#owners, sequence, lead)) lead = sequence;
    }
    if (lead === undefined) return ready;
    const batch = this.#fill(ready, lead);
    this.#step += 1;
    if (batch.length < ready.length) this.#owners.count(lead, batch, this.#stepper);
    noteStep(this.#step, batch, ready);
    return batch;
  }

  #fill(ready: S[], lead: S): S[] {
    const stepper = this.#stepper;
    const group = stepper.group(lead);
    const mates = ready.filter(
      (sequence) => sequence === lead || inGroup(stepper, sequence, group),
    );
    const rows = mates.reduce((sum, sequence) => sum + stepper.weight(sequence), 0);
    const { maxBatch } = stepper;
    if (rows <= maxBatch) return mates;
    // Too many for one run: as few runs as it takes, of much the same size.
    const room = Math.ceil(rows / Math.ceil(rows / maxBatch));
    const others = mates.filter((one) => one !== lead);
    if (others.every(({ owner }) => owner === lead.owner)) {
      const cohort = others.filter(({ lastStep }) => lastStep === lead.lastStep);
      const together = this.#take([lead, ...cohort], room);
      if (together.length * 2 >= room && together.length >= Math.min(cohort.length + 1, room))
        return inOrder(together, ready);
    }
    others.sort((a, b) => (goesBefore(a, b) ? -1 : goesBefore(b, a) ? 1 : 0));
    return inOrder(this.#take(this.#owners.inTurn([lead, ...others]), room), ready);
  }

  /** From the front as many as fit; the first always does. */
  #take(candidates: readonly S[], room: number): S[] {
    const taken: S[] = [];
    let left = room;
    for (const candidate of candidates) {
      const weight = this.#stepper.weight(candidate);
      if (taken.length > 0 && weight > left) break;
      taken.push(candidate);
      left -= weight;
      if (left <= 0) break;
    }
    return taken;
  }
}

/** It has a turn with something to compute, and credit of both kinds. */
export function isReady<S extends Sequence>(
  stepper: Pick<Stepper<S>, 'ready'>,
  sequence: S,
): boolean {
  return (
    sequence.turn !== undefined &&
    sequence.records > 0 &&
    sequence.bytes > 0 &&
    !sequence.closed &&
    stepper.ready(sequence)
  );
}

function inGroup<S extends Sequence>(stepper: Steps<S>, sequence: S, group: Group): boolean {
  return stepper.group(sequence) === group;
}

function urgency({ priority, waited }: Sequence): number {
  return priority + Math.floor(waited / AGING_STEPS);
}

/** Whether `a` is more urgent: by priority, which waiting raises, then by who was served longest ago. */
export function goesBefore(a: Sequence, b: Sequence): boolean {
  const difference = urgency(a) - urgency(b);
  return difference === 0 ? a.lastStep < b.lastStep : difference > 0;
}

/** Whether `a` leads rather than `b`: whose owner was given least, then who is more urgent. */
export function leads(owners: OwnerTurns, a: Sequence, b: Sequence): boolean {
  const difference = owners.compare(a.owner, b.owner);
  return difference === 0 ? goesBefore(a, b) : difference < 0;
}

/** A batch has this step; of those that are ready, the others wait for one more. */
export function noteStep(
  step: number,
  batch: readonly Sequence[],
  ready: readonly Sequence[],
): void {
  if (batch.length < ready.length) for (const sequence of ready) sequence.waited += 1;
  for (const sequence of batch) {
    sequence.lastStep = step;
    sequence.waited = 0;
  }
}

/** In the order of `all`: equal sets come out equal, and their layout is found again. */
function inOrder<S>(chosen: readonly S[], all: readonly S[]): S[] {
  const set = new Set(chosen);
  return all.filter((one) => set.has(one));
}
