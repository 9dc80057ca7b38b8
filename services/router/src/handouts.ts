import { CabstandError } from '@cabstand/core';
import { checkWanted } from './placement/filter';
import { checkSessionId } from './registry/validate';
import type { Claims } from './registry/claims';
import type { Pools } from './placement/pools';
import type { Lease, Leases } from './leases/leases';
import type { HandOutResult, RouterObserver } from './observer';
import type { Placed, Placement } from './placement/placement';
import type { Wanted } from './placement/filter';
import type { Node } from './registry/node';
import type { Registry } from './registry/registry';
import type { RouterSettings } from './options';

export interface AcquireWanted extends Wanted {
  /** Empty for a session that is not durable. */
  readonly sessionId: string;
}

export interface HandOut {
  readonly lease: Lease;
  readonly node: Node;
  /** Best first, without a reservation. */
  readonly alternatives: readonly Node[];
}

export interface HandOutParts {
  readonly registry: Registry;
  readonly placement: Placement;
  readonly pools: Pools;
  readonly leases: Leases;
  readonly claims: Claims;
  readonly observer: RouterObserver;
  readonly periodMs: () => number;
  /** Monotonic time of the router's start. */
  readonly startedAt: number;
}

/** Places that are given at once, the first included. */
const MOST_IN_PACK = 16;
/** The rest of a pack takes at most this part of what is free, shared with the others who use the model. */
const PACK_SHARE = 1 / 4;
/** Nodes that are looked at to see how much is free: bounds the cost of a pack. */
const PACK_LOOKS = 64;

/** How long a principal that has used a lease counts among those who share a model. */
const REMEMBERED_MS = 300_000;

/** Hands nodes out: place, reserve, or say why not. */
export class HandOuts {
  constructor(
    private readonly settings: RouterSettings,
    private readonly parts: HandOutParts,
  ) {}

  /**
   * Reserves a slot. Throws HOSTER_FULL or NO_NODE with `retryAfterMs` and the numbers of nodes in
   * the metadata, MODEL_UNKNOWN, QUOTA_EXCEEDED, INVALID_ARGUMENT or LIMIT_EXCEEDED.
   */
  acquire(wanted: AcquireWanted, principal: string): HandOut {
    const { observer } = this.parts;
    try {
      const handOut = this.#acquire(wanted, principal);
      observer.handedOut?.('ok');
      return handOut;
    } catch (error) {
      observer.handedOut?.(resultOf(CabstandError.from(error)));
      throw error;
    }
  }

  /**
   * Further places for sessions that follow soon, after `acquire` gave the first: `count` at most, and fewer
   * where that would be more than a share of what is free. Takes nothing from anybody. Never throws.
   */
  more(wanted: AcquireWanted, principal: string, count: number): HandOut[] {
    const { leases, placement, observer } = this.parts;
    const given: HandOut[] = [];
    if (wanted.resume || count < 1) return given;
    const most = Math.min(count, MOST_IN_PACK - 1, this.#packShare(wanted, principal));
    while (given.length < most && leases.hasRoom(principal)) {
      const placed = placement.place(wanted);
      if (placed.kind !== 'placed' || placed.slot.class !== 'open') break;
      const lease = leases.reserve(placed.slot, principal, undefined, true);
      given.push({ lease, node: placed.slot.node, alternatives: [] });
      observer.handedOut?.('ok');
    }
    return given;
  }

  #packShare({ model, digest }: AcquireWanted, principal: string): number {
    const { pools } = this.parts;
    const pool = pools.get(model, digest);
    if (pool === undefined) return 0;
    let free = 0;
    for (let i = 0; i < Math.min(PACK_LOOKS, pool.open.length); i++) {
      const slot = pool.open.at(i);
      if (slot !== undefined) free += slot.free - slot.leases.size;
    }
    return Math.floor((free * PACK_SHARE) / (this.#othersOf(model, principal) + 1));
  }

  #acquire(request: AcquireWanted, principal: string): HandOut {
    const { claims, leases } = this.parts;
    const { sessionId } = request;
    // What is kept for failovers is for sessions of which a hoster has told; others are new ones.
    const resumes = request.resume && claims.knows(principal, sessionId) ? sessionId : undefined;
    const wanted =
      request.resume && resumes === undefined ? { ...request, resume: false } : request;
    checkWanted(wanted, this.settings.maxListLength);
    if (sessionId !== '') checkSessionId(sessionId);
    if (resumes !== undefined) leases.endResuming(principal, resumes);
    leases.checkRoom(principal);
    const placed = this.#place(wanted, principal);
    if (placed.kind !== 'placed') throw this.#refusal(placed, wanted);
    const lease = leases.reserve(placed.slot, principal, resumes);
    return {
      lease,
      node: placed.slot.node,
      alternatives: placed.alternatives.map((slot) => slot.node),
    };
  }

  /** Somewhere with room, or where others have more than their share of it. */
  #place(wanted: AcquireWanted, principal: string): Placed {
    const { leases, placement } = this.parts;
    const placed = placement.place(wanted);
    if (placed.kind !== 'full') return placed;
    const slot = leases.reclaim(wanted.model, principal, placement.freeing(wanted));
    if (slot !== undefined) return { kind: 'placed', slot, alternatives: [] };
    return (this.#isOwed(wanted.model, principal) && placement.placeFull(wanted)) || placed;
  }

  /**
   * Whether the principal has less of the model than its share, as far as this router knows, while
   * others use it too: the hoster that is full has the last word, and makes room for such a one.
   * Alone it has all there is, and is told to wait as before.
   */
  #isOwed(model: string, principal: string): boolean {
    const { claims, leases, pools } = this.parts;
    const pool = pools.get(model);
    if (pool === undefined) return false;
    const others = this.#othersOf(model, principal);
    const has = leases.held(model, principal) + claims.of(model, principal);
    return others > 0 && has < Math.floor(pool.capacity / (others + 1));
  }

  /** Other principals that use the model, as far as this router knows. */
  #othersOf(model: string, principal: string): number {
    const { claims, leases, pools } = this.parts;
    const since = this.settings.clock.monotonic() - REMEMBERED_MS;
    return Math.max(
      pools.get(model)?.othersSince(principal, since) ?? 0,
      claims.others(model, principal),
      leases.others(model, principal),
    );
  }

  #refusal(placed: Exclude<Placed, { kind: 'placed' }>, wanted: AcquireWanted): CabstandError {
    const { registry, periodMs, startedAt } = this.parts;
    const { clock, settleMs, random } = this.settings;
    const { model, digest } = wanted;
    // Spread out, so that those who were refused together do not come back together.
    const retryAfterMs = Math.ceil(periodMs() * (0.5 + random()));
    if (placed.kind === 'unknown_model' || placed.kind === 'unknown_digest') {
      const digestUnknown = placed.kind === 'unknown_digest';
      const condition = registry.conditionOf(model);
      const cause =
        condition === 'loading'
          ? 'model_loading'
          : clock.monotonic() - startedAt < settleMs
            ? 'router_starting'
            : digestUnknown
              ? 'digest'
              : absence(registry, model, condition === 'failed');
      if (cause === undefined)
        return new CabstandError('MODEL_UNKNOWN', `no node has ever offered ${model}`, {
          metadata: { model },
        });
      const what = digestUnknown ? `${model} with these weights` : model;
      return new CabstandError('NO_NODE', `no node serves ${what} now: ${CAUSES[cause]}`, {
        metadata: { model, cause, nodes: '0', ...(digestUnknown && { digest }) },
        retryAfterMs,
      });
    }
    const { counts } = placed;
    const { pools } = this.parts;
    // Where those that have the digest are gone, this is what a session of theirs may end of.
    const others = (pools.get(model)?.fit ?? 0) - (pools.get(model, digest)?.fit ?? 0);
    const metadata = {
      model,
      ...(others > 0 && { other_digests: String(others) }),
      nodes: String(counts.withModel),
      full: String(counts.full),
      banned: String(counts.banned),
      not_ready: String(counts.notReady),
      offline: String(counts.offline),
      excluded: String(counts.excluded),
    };
    const why = `nodes: ${counts.withModel}, full: ${counts.full}, banned: ${counts.banned}, not ready: ${counts.notReady}, offline: ${counts.offline}, excluded by the call: ${counts.excluded}`;
    return placed.kind === 'full'
      ? new CabstandError('HOSTER_FULL', `no free slot for ${model} (${why})`, {
          metadata,
          retryAfterMs,
        })
      : new CabstandError('NO_NODE', `no node can take ${model} now (${why})`, {
          metadata,
          retryAfterMs,
        });
  }
}

/** Why nobody serves a model that is worth waiting for. Programs read the name, people the words. */
const CAUSES = {
  model_loading: 'a node is loading it',
  model_failed: 'the nodes that have it could not load it; their logs say why',
  router_starting: 'the router has just started and does not know all nodes yet',
  no_nodes: 'the router knows no node that is alive',
  nodes_gone: 'the nodes that had it are gone',
  digest: 'those that have the model have other ones',
} as const;

/** Undefined for a model of which no node has ever spoken. */
function absence(
  registry: Registry,
  model: string,
  failed: boolean,
): 'model_failed' | 'no_nodes' | 'nodes_gone' | undefined {
  if (failed) return 'model_failed';
  if (registry.alive === 0) return 'no_nodes';
  return registry.hasSeen(model) ? 'nodes_gone' : undefined;
}

function resultOf(error: CabstandError): HandOutResult {
  switch (error.reason) {
    case 'HOSTER_FULL':
      return 'full';
    case 'NO_NODE':
      return 'no_node';
    case 'MODEL_UNKNOWN':
      return 'model_unknown';
    case 'QUOTA_EXCEEDED':
      return 'quota';
    default:
      return 'invalid';
  }
}
