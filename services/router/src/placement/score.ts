import type { Slot } from '../registry/node';

/**
 * How a slot compares with others of its model: lower is better. Counts what the next session would
 * find there, taken and reserved slots and the queue, relative to the capacity. A node whose steps
 * take more than twice as long as the quickest one's counts as proportionally fuller; smaller
 * differences are measuring noise and must not skew the spread.
 */
export function scoreOf(slot: Slot, quickestStep: number): number {
  const taken = slot.capacity - slot.free - slot.kept + slot.leases.size + slot.queueDepth;
  const fullness = (taken + 1) / Math.max(1, slot.capacity);
  return fullness * slowness(slot.stepSeconds, quickestStep);
}

function slowness(step: number, quickest: number): number {
  return quickest > 0 && step > 0 ? Math.max(1, step / (2 * quickest)) : 1;
}

/** The quickest step among the slots that have run any; 0 if none has. */
export function quickestStep(slots: readonly Slot[]): number {
  let quickest = 0;
  for (const { stepSeconds } of slots)
    if (stepSeconds > 0 && (quickest === 0 || stepSeconds < quickest)) quickest = stepSeconds;
  return quickest;
}
