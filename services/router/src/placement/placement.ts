import { SwapList } from '../registry/swap-list';
import { draw } from './draw';
import { filterOf } from './filter';
import { quickestStep, scoreOf } from './score';
import type { Clock } from '@cabstand/core';
import type { Pool, Pools } from './pools';
import type { Node, Slot } from '../registry/node';
import type { NodeFilter, Wanted } from './filter';

/** Two random candidates, the better wins: as even as a full scan, nearly, at constant cost. */
const CHOICES = 2;

export type Placed =
  | { readonly kind: 'placed'; readonly slot: Slot; readonly alternatives: readonly Slot[] }
  /** No node has ever offered it, or none that is still known. */
  | { readonly kind: 'unknown_model' }
  /** Nodes have the model, but none with this digest. */
  | { readonly kind: 'unknown_digest' }
  /** Nodes could take it but for capacity. */
  | { readonly kind: 'full'; readonly counts: PlaceCounts }
  /** No node that could take it now is in a state to, or passes the lists. */
  | { readonly kind: 'no_node'; readonly counts: PlaceCounts };

/** Why nobody was found, in numbers of nodes. */
interface PlaceCounts {
  readonly withModel: number;
  readonly full: number;
  readonly banned: number;
  readonly notReady: number;
  readonly offline: number;
  /** Online and not banned, but kept out by the call's lists. */
  readonly excluded: number;
}

export interface PlacementOptions {
  readonly clock: Clock;
  readonly alternatives: number;
  readonly random: () => number;
}

/** Chooses a slot. The cost depends on the call's lists, never on the size of the fleet. */
export class Placement {
  constructor(
    private readonly pools: Pools,
    private readonly nodes: ReadonlyMap<string, Node>,
    private readonly options: PlacementOptions,
  ) {}

  place(wanted: Wanted): Placed {
    const pool = this.pools.get(wanted.model, wanted.digest);
    if (pool === undefined)
      return { kind: this.pools.get(wanted.model) ? 'unknown_digest' : 'unknown_model' };
    const filter = filterOf(wanted);
    const candidates = this.#candidates(pool, wanted, filter);
    if (candidates.length === 0) return this.#none(pool, wanted, filter);
    return this.#choose(candidates);
  }

  /** Whether a slot would have room for the call once one reservation less is on it. */
  freeing(wanted: Wanted): (slot: Slot) => boolean {
    const filter = filterOf(wanted);
    return (slot) =>
      (slot.class === 'full' || slot.class === 'reserve') &&
      slot.free + (wanted.resume ? slot.kept : 0) >= slot.leases.size &&
      (wanted.digest === '' || slot.digests.includes(wanted.digest)) &&
      filter.passes(slot);
  }

  /** One of the full nodes, for somebody for whom its hoster will make room; undefined without any. */
  placeFull(wanted: Wanted): Placed | undefined {
    const pool = this.pools.get(wanted.model, wanted.digest);
    if (pool === undefined) return undefined;
    const filter = filterOf(wanted);
    const full = this.#draw(pool, 'full', wanted, filter);
    const candidates = full.length > 0 ? full : this.#draw(pool, 'reserve', wanted, filter);
    return candidates.length > 0 ? this.#choose(candidates) : undefined;
  }

  #choose(candidates: readonly Slot[]): Placed {
    const now = this.options.clock.monotonic();
    const quickest = quickestStep(candidates, now);
    const scored = candidates.map((slot) => ({ slot, score: scoreOf(slot, quickest, now) }));
    let best = scored[0] as (typeof scored)[number];
    for (const other of scored.slice(1, CHOICES)) if (other.score < best.score) best = other;
    const alternatives = scored
      .filter((other) => other !== best)
      .sort((a, b) => a.score - b.score)
      .slice(0, this.options.alternatives)
      .map(({ slot }) => slot);
    return { kind: 'placed', slot: best.slot, alternatives };
  }

  #candidates(pool: Pool, wanted: Wanted, filter: NodeFilter): readonly Slot[] {
    const open = this.#draw(pool, 'open', wanted, filter);
    if (open.length > 0) return open;
    if (wanted.resume) {
      const reserve = this.#draw(pool, 'reserve', wanted, filter);
      if (reserve.length > 0) return reserve;
    }
    // Bans are ignored when they cover everything that the call may have.
    if (this.#fit(pool, wanted, filter) > 0) return [];
    return this.#draw(pool, 'banned', wanted, filter);
  }

  #draw(
    pool: Pool,
    from: 'open' | 'reserve' | 'full' | 'banned',
    wanted: Wanted,
    filter: NodeFilter,
  ): readonly Slot[] {
    const count = CHOICES + Math.max(0, this.options.alternatives - 1);
    const roomy = (slot: Slot): boolean =>
      from !== 'banned' || wanted.resume || slot.free > slot.leases.size;
    if (filter.allow !== undefined) {
      const allowed = new SwapList<Slot>();
      for (const slot of this.#named(pool, wanted, filter.allow))
        if (slot.class === from && filter.passes(slot) && roomy(slot)) allowed.add(slot);
      return draw(allowed, count, () => true, 0, this.options.random);
    }
    const list = pool[from];
    // Banned nodes are few (a configured share at most) and this is the last resort: all are looked at.
    const rejectable = from === 'banned' ? list.length : filter.rejectable.length;
    const passes = (slot: Slot): boolean => filter.passes(slot) && roomy(slot);
    return draw(list, count, passes, rejectable, this.options.random);
  }

  /** Slots of the nodes with these ids that are in the pool. */
  *#named(pool: Pool, wanted: Wanted, ids: Iterable<string>): Generator<Slot> {
    for (const id of ids) {
      const slot = this.nodes.get(id)?.slots.get(wanted.model);
      if (slot === undefined) continue;
      if (wanted.digest === '' || slot.digests.includes(wanted.digest)) yield slot;
    }
  }

  /** Nodes that are online, not banned and pass the lists, full ones included. */
  #fit(pool: Pool, wanted: Wanted, filter: NodeFilter): number {
    const isFit = ({ class: c }: Slot): boolean => c === 'open' || c === 'reserve' || c === 'full';
    let count = 0;
    if (filter.allow !== undefined) {
      for (const slot of this.#named(pool, wanted, filter.allow))
        if (isFit(slot) && filter.passes(slot)) count++;
      return count;
    }
    for (const slot of this.#named(pool, wanted, filter.rejectable))
      if (isFit(slot) && !filter.passes(slot)) count++;
    return pool.fit - count;
  }

  #none(pool: Pool, wanted: Wanted, filter: NodeFilter): Placed {
    const { counts } = pool;
    const fit = this.#fit(pool, wanted, filter);
    const answer: PlaceCounts = {
      withModel: pool.nodes,
      full: counts.full + counts.banned_full + counts.reserve,
      banned: counts.banned + counts.banned_full,
      notReady: counts.unready,
      offline: counts.offline,
      excluded: pool.fit - fit,
    };
    // Without lists, banned nodes that are all full are a matter of capacity too.
    const listless = filter.allow === undefined && filter.rejectable.length === 0;
    return {
      kind: fit > 0 || (listless && answer.banned > 0) ? 'full' : 'no_node',
      counts: answer,
    };
  }
}
