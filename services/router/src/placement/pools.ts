import { SwapList } from '../registry/swap-list';
import type { Node, Slot, SlotClass } from '../registry/node';

/** The slots of one model (or one model with one digest), sorted by what may be done with them. */
export class Pool {
  readonly open = new SwapList<Slot>();
  readonly reserve = new SwapList<Slot>();
  readonly banned = new SwapList<Slot>();
  readonly counts: Record<SlotClass, number> = {
    open: 0,
    reserve: 0,
    full: 0,
    banned: 0,
    banned_full: 0,
    unready: 0,
    offline: 0,
  };

  /** Nodes that have the model, whatever their state. */
  get nodes(): number {
    return Object.values(this.counts).reduce((sum, count) => sum + count, 0);
  }

  /** Nodes that are online and not banned, full ones included. */
  get fit(): number {
    return this.counts.open + this.counts.reserve + this.counts.full;
  }

  list(slotClass: SlotClass): SwapList<Slot> | undefined {
    if (slotClass === 'open' || slotClass === 'reserve' || slotClass === 'banned')
      return this[slotClass];
    return undefined;
  }
}

function classOf(slot: Slot): SlotClass {
  const { node } = slot;
  if (node.state.kind === 'OFFLINE') return 'offline';
  if (node.state.kind !== 'ONLINE') return 'unready';
  const left = slot.free + slot.kept - slot.leases.size;
  if (node.bannedUntil !== undefined) return left > 0 ? 'banned' : 'banned_full';
  if (left <= 0) return 'full';
  return left > slot.kept ? 'open' : 'reserve';
}

/**
 * Index from a model, or a model and a digest, to its slots. Every change of a slot costs constant
 * time, so that a hand-out never looks at the fleet.
 */
export class Pools {
  readonly #pools = new Map<string, Pool>();

  get size(): number {
    return this.#pools.size;
  }

  get(model: string, digest = ''): Pool | undefined {
    return this.#pools.get(poolKey(model, digest));
  }

  add(slot: Slot): void {
    slot.class = classOf(slot);
    for (const key of keysOf(slot)) {
      let pool = this.#pools.get(key);
      if (pool === undefined) this.#pools.set(key, (pool = new Pool()));
      pool.counts[slot.class]++;
      pool.list(slot.class)?.add(slot);
    }
  }

  remove(slot: Slot): void {
    for (const key of keysOf(slot)) {
      const pool = this.#pools.get(key);
      if (pool === undefined) continue;
      pool.counts[slot.class]--;
      pool.list(slot.class)?.remove(slot);
      if (pool.nodes === 0) this.#pools.delete(key);
    }
  }

  /** Call after anything that the class depends on has changed. */
  refresh(slot: Slot): void {
    const before = slot.class;
    const after = classOf(slot);
    if (before === after) return;
    slot.class = after;
    for (const key of keysOf(slot)) {
      const pool = this.#pools.get(key);
      if (pool === undefined) continue;
      pool.counts[before]--;
      pool.counts[after]++;
      pool.list(before)?.remove(slot);
      pool.list(after)?.add(slot);
    }
  }

  refreshNode(node: Node): void {
    for (const slot of node.slots.values()) this.refresh(slot);
  }
}

function poolKey(model: string, digest: string): string {
  return digest === '' ? model : `${model}\n${digest}`;
}

function keysOf(slot: Slot): string[] {
  return [slot.model, ...slot.digests.map((digest) => poolKey(slot.model, digest))];
}
