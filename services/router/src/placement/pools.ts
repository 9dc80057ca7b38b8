import { BoundedMap } from '@cabstand/core';
import { SwapList } from '../registry/swap-list';
import type { Node, Slot, SlotClass } from '../registry/node';

/** Principals that used leases of a model last and are remembered. */
const MOST_USERS = 64;

/** The slots of one model (or one model with one digest), sorted by what may be done with them. */
export class Pool {
  readonly open = new SwapList<Slot>();
  readonly reserve = new SwapList<Slot>();
  readonly full = new SwapList<Slot>();
  readonly banned = new SwapList<Slot>();
  /** Sessions that the nodes which are online can have in all. */
  capacity = 0;
  readonly counts: Record<SlotClass, number> = {
    open: 0,
    reserve: 0,
    full: 0,
    banned: 0,
    banned_full: 0,
    unready: 0,
    offline: 0,
  };

  /** The principals that used leases of it last, with the monotonic time. */
  readonly #users = new BoundedMap<string, number>(MOST_USERS);

  /** Nodes that have the model, whatever their state. */
  get nodes(): number {
    return Object.values(this.counts).reduce((sum, count) => sum + count, 0);
  }

  /** Nodes that are online and not banned, full ones included. */
  get fit(): number {
    return this.counts.open + this.counts.reserve + this.counts.full;
  }

  list(slotClass: SlotClass): SwapList<Slot> | undefined {
    switch (slotClass) {
      case 'open':
      case 'reserve':
      case 'full':
      case 'banned':
        return this[slotClass];
      default:
        return undefined;
    }
  }

  /** A session of the principal has opened with a lease. */
  used(principal: string, at: number): void {
    this.#users.set(principal, at);
  }

  /** Principals other than this one that have used leases since then. */
  othersSince(principal: string, since: number): number {
    let others = 0;
    for (const [who, at] of this.#users.entries()) if (who !== principal && at >= since) others++;
    return others;
  }

  enter(slot: Slot): void {
    this.counts[slot.class]++;
    this.list(slot.class)?.add(slot);
    if (isOnline(slot)) this.capacity += slot.capacity;
  }

  leave(slot: Slot): void {
    this.counts[slot.class]--;
    this.list(slot.class)?.remove(slot);
    if (isOnline(slot)) this.capacity -= slot.capacity;
  }
}

function isOnline({ class: slotClass }: Slot): boolean {
  return slotClass !== 'offline' && slotClass !== 'unready';
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
      pool.enter(slot);
    }
  }

  remove(slot: Slot): void {
    for (const key of keysOf(slot)) {
      const pool = this.#pools.get(key);
      if (pool === undefined) continue;
      pool.leave(slot);
      if (pool.nodes === 0) this.#pools.delete(key);
    }
  }

  /** Call after anything that the class depends on has changed. */
  refresh(slot: Slot): void {
    const after = classOf(slot);
    if (slot.class === after) return;
    const pools = keysOf(slot).flatMap((key) => this.#pools.get(key) ?? []);
    for (const pool of pools) pool.leave(slot);
    slot.class = after;
    for (const pool of pools) pool.enter(slot);
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
