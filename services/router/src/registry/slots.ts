import type { Node, NodeLoad, Offer, Slot } from './node';

/**
 * The slots of a node's offers, one per model; versions of one model share theirs. It is believed to
 * have `most` of each at most.
 */
export function makeSlots(node: Node, offers: readonly Offer[], most: number): Map<string, Slot> {
  const slots = new Map<string, Slot>();
  for (const name of new Set(offers.map((offer) => offer.name))) {
    const versions = offers.filter((offer) => offer.name === name);
    const offered = versions.reduce((sum, offer) => sum + offer.capacity, 0);
    const capacity = Math.min(most, offered);
    const digests = [...new Set(versions.map((offer) => offer.digest))].filter((d) => d !== '');
    slots.set(name, {
      node,
      model: name,
      digests,
      capacity,
      free: capacity,
      kept: 0,
      queueDepth: 0,
      stepSeconds: 0,
      recordsPerSecond: 0,
      firstChunkSeconds: 0,
      leases: new Set(),
      class: 'unready',
    });
  }
  return slots;
}

export function sameOffer(a: Slot, b: Slot): boolean {
  return a.capacity === b.capacity && a.digests.join() === b.digests.join();
}

/** Takes over a heartbeat's load. True if what watchers see has changed. */
export function applyLoad(node: Node, load: NodeLoad): boolean {
  let changed = load.openSessions !== node.load.openSessions;
  const known = [];
  for (const told of load.models) {
    const slot = node.slots.get(told.model);
    if (slot === undefined) continue;
    const free = clamp(Math.floor(told.freeSlots), 0, slot.capacity);
    const kept = clamp(Math.floor(told.resumeSlots), 0, slot.capacity - free);
    const queueDepth = clamp(Math.floor(told.queueDepth), 0, 1e9);
    if (free !== slot.free || kept !== slot.kept || queueDepth !== slot.queueDepth) changed = true;
    slot.free = free;
    slot.kept = kept;
    slot.queueDepth = queueDepth;
    slot.stepSeconds = clamp(told.stepSeconds, 0, 1e9);
    slot.recordsPerSecond = clamp(told.recordsPerSecond ?? 0, 0, 1e9);
    slot.firstChunkSeconds = clamp(told.firstChunkSeconds ?? 0, 0, 1e9);
    const { stepSeconds } = slot;
    known.push({
      model: told.model,
      freeSlots: free,
      resumeSlots: kept,
      queueDepth,
      stepSeconds,
    });
  }
  node.load = {
    models: known,
    openSessions: clamp(load.openSessions, 0, 1e9),
    eventLoopLagSeconds: clamp(load.eventLoopLagSeconds, 0, 1e9),
  };
  return changed;
}

/** Numbers from elsewhere: what is not one counts as the least. */
function clamp(value: number, least: number, most: number): number {
  return value >= least ? Math.min(value, most) : least;
}
