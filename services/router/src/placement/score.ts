import type { Slot } from '../registry/node';

/** What full distrust adds, in capacities: a node that fails its callers comes after any that is full. */
const DISTRUST = 16;
/** Nodes that are less trusted set no pace for the others. */
const PACE_TRUST = 0.25;
/** No node is taken for slower than this beside the quickest: steps of models' versions differ, too. */
const MOST_SLOWNESS = 8;
/** A step is not believed to be quicker, in seconds. */
const LEAST_STEP = 1e-5;

/**
 * How a slot compares with others of its model: lower is better. Counts what the next session would
 * find there: taken slots and the queue as the node tells them, relative to its capacity, and reserved
 * ones relative to what its leases have shown of that. A node whose steps take more than twice as long
 * as the quickest one's counts as proportionally fuller; smaller differences are measuring noise and
 * must not skew the spread. What callers found there comes on top.
 */
export function scoreOf(slot: Slot, quickestStep: number, now: number): number {
  const { capacity, node } = slot;
  const taken = capacity - slot.free - slot.kept + slot.queueDepth;
  const shown = Math.min(capacity, node.standing.slots);
  const fullness = taken / Math.max(1, capacity) + (slot.leases.size + 1) / Math.max(1, shown);
  const distrust = node.standing.clean ? 0 : node.standing.distrust(now);
  return fullness * slowness(slot.stepSeconds, quickestStep) + DISTRUST * distrust * distrust;
}

function slowness(step: number, quickest: number): number {
  if (quickest === 0 || step === 0) return 1;
  return Math.min(MOST_SLOWNESS, Math.max(1, step / (2 * quickest)));
}

/**
 * The quickest step among the slots that have run any; 0 if none has. Of those whose nodes have served
 * somebody, where there are such: what a new node says of its speed must not make the others slow.
 */
export function quickestStep(slots: readonly Slot[], now: number): number {
  let quickest = 0;
  let byProven = false;
  for (const { stepSeconds, node } of slots) {
    const { standing } = node;
    if (stepSeconds === 0 || (!standing.clean && standing.distrust(now) > PACE_TRUST)) continue;
    if (byProven && !standing.proven) continue;
    const step = Math.max(LEAST_STEP, stepSeconds);
    if (quickest === 0 || step < quickest || (standing.proven && !byProven)) quickest = step;
    byProven ||= standing.proven;
  }
  return quickest;
}
