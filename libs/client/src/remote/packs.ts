import { BoundedMap } from '@cabstand/core';
import type { Placement, PlacementRequest } from './types';

/** Kinds of sessions that are remembered: model, weights, lists, and for whom. */
const MOST_KINDS = 100;
/** Places that a router gives at once. */
const MOST_IN_PACK = 16;
/** A pack is for what is opened within about this part of a second. */
const PACK_SECONDS = 1 / 8;
/** Over how long it is counted how many sessions are opened, in milliseconds. */
const MEMORY_MS = 1000;
/** A place is kept for so long, in milliseconds: less than its reservation lasts. */
const KEPT_MS = 1000;
/** Reservations that wait to be given back; those beyond expire by themselves. */
const MOST_RETURNED = 64;

/** A pack that is on its way. */
interface Coming {
  /** Places that nobody waits for yet. */
  left: number;
  readonly over: Promise<void>;
  readonly tell: () => void;
}

/** Sessions of one kind. */
interface Shelf {
  /** About how many were opened within the last second. */
  recent: number;
  /** Monotonic time when that was counted. */
  at: number;
  coming: Coming | undefined;
  /** Places of the last pack: so many may wait for the next one. Others ask for one place each meanwhile. */
  brought: number;
  readonly places: { readonly placement: Placement; readonly until: number }[];
}

/**
 * Places that a router gave ahead of need. Whoever opens sessions all the time asks it once for several;
 * everybody else never notices. What is not used soon is given back.
 */
export class Packs {
  readonly #shelves = new BoundedMap<string, Shelf>(MOST_KINDS);
  /** Of requests: each is looked for several times. */
  readonly #keys = new WeakMap<PlacementRequest, string>();
  #returned: string[] = [];
  #off = false;

  /** A place from an earlier pack that `fits` still; undefined where a router has to be asked. */
  take(
    request: PlacementRequest,
    now: number,
    fits: (placement: Placement) => boolean,
  ): Placement | undefined {
    if (this.#off || !isPlain(request)) return undefined;
    const shelf = this.#shelf(request, now);
    shelf.recent = shelf.recent * Math.exp((shelf.at - now) / MEMORY_MS) + 1;
    shelf.at = now;
    return this.again(request, now, fits);
  }

  /** As `take`, for a session that was counted when it was first looked for. */
  again(
    request: PlacementRequest,
    now: number,
    fits: (placement: Placement) => boolean,
  ): Placement | undefined {
    const shelf = this.#shelf(request, now);
    for (let place = shelf.places.shift(); place !== undefined; place = shelf.places.shift()) {
      if (place.until > now && fits(place.placement)) return place.placement;
      this.#return(place.placement);
    }
    return undefined;
  }

  /** Resolves when a pack is there, or will not be, that is to have a place for this one; undefined where none is. */
  coming(request: PlacementRequest, now: number): Promise<void> | undefined {
    if (this.#off || !isPlain(request)) return undefined;
    const { coming } = this.#shelf(request, now);
    if (coming === undefined || coming.left === 0) return undefined;
    coming.left--;
    return coming.over;
  }

  /** Places to ask a router for now. Where that is more than one, `put` or `failed` must follow. */
  count(request: PlacementRequest, now: number): number {
    if (this.#off || !isPlain(request)) return 1;
    const shelf = this.#shelf(request, now);
    if (shelf.coming !== undefined) return 1;
    const count = Math.min(MOST_IN_PACK, Math.floor(shelf.recent * PACK_SECONDS));
    if (count > 1) shelf.coming = packOf(Math.min(shelf.brought, count - 1));
    return Math.max(1, count);
  }

  /** The rest of a pack. */
  put(request: PlacementRequest, now: number, more: readonly Placement[]): void {
    const shelf = this.#shelf(request, now);
    for (const placement of more) shelf.places.push({ placement, until: now + KEPT_MS });
    arrived(shelf, more.length);
  }

  /** There was none. */
  failed(request: PlacementRequest, now: number): void {
    arrived(this.#shelf(request, now), 0);
  }

  /** The router knows no packs: nobody asks for any more. */
  forgo(): void {
    this.#off = true;
    this.#returned = [];
  }

  /** Ids of reservations to give back; they count as given back. */
  returned(now: number): string[] {
    for (const shelf of this.#shelves.values())
      while (shelf.places[0] !== undefined && shelf.places[0].until <= now)
        this.#return((shelf.places.shift() as (typeof shelf.places)[number]).placement);
    return this.#returned.splice(0);
  }

  #return({ lease }: Placement): void {
    if (lease !== undefined && this.#returned.length < MOST_RETURNED) this.#returned.push(lease.id);
  }

  #shelf(request: PlacementRequest, now: number): Shelf {
    const key = this.#keys.get(request) ?? keyOf(request);
    this.#keys.set(request, key);
    const known = this.#shelves.get(key);
    if (known !== undefined) return known;
    const shelf: Shelf = { recent: 0, at: now, coming: undefined, brought: 0, places: [] };
    this.#shelves.set(key, shelf);
    return shelf;
  }
}

function packOf(left: number): Coming {
  let tell = (): void => undefined;
  const over = new Promise<void>((resolve) => (tell = resolve));
  return { left, over, tell };
}

function arrived(shelf: Shelf, places: number): void {
  const { coming } = shelf;
  shelf.coming = undefined;
  shelf.brought = places;
  coming?.tell();
}

/** A session that goes on from elsewhere, or leaves a hoster, has a place of its own. */
function isPlain({ resume, avoid = [] }: PlacementRequest): boolean {
  return resume !== true && avoid.length === 0;
}

function keyOf({ model, digest, allow, block, onBehalfOf }: PlacementRequest): string {
  return JSON.stringify([model, digest, allow, block, onBehalfOf]);
}
