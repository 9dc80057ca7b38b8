import { CabstandError, abortable } from '@cabstand/core';
import type { Clock } from '@cabstand/core';
import { RouterService } from '@cabstand/rpc';
import type { v1 } from '@cabstand/rpc';
import type { NodeRef } from '../retry/exclusions';
import { callSpan } from '../tracing/call-span';
import { acquireRequest, placementOf } from './acquire-wire';
import type { PackFields } from './acquire-wire';
import { nodeFromWire } from './from-wire';
import type { NodeHealth } from './health';
import type { NodeCache } from './node-cache';
import { Packs } from './packs';
import { candidates } from './pick';
import type { Routers } from './routers';
import type { Placement, PlacementRequest } from './types';

interface ReservationParts {
  readonly routers: Routers;
  readonly health: NodeHealth;
  readonly cache: NodeCache;
  readonly clock: Clock;
}

/** Places that routers reserve: one at a time, or several at once for whoever opens sessions all the time. */
export class Reservations {
  readonly #packs = new Packs();

  constructor(private readonly parts: ReservationParts) {}

  /** A place that was given ahead of need; undefined where a router has to be asked. */
  ahead(request: PlacementRequest): Placement | undefined {
    return this.#packs.take(request, this.parts.clock.monotonic(), this.#fits);
  }

  /** Throws NO_NODE, MODEL_UNKNOWN, ROUTER_UNREACHABLE. `out` are nodes that the router is to leave out. */
  async ask(request: PlacementRequest, out: readonly NodeRef[]): Promise<Placement> {
    const { clock, health } = this.parts;
    const coming = this.#packs.coming(request, clock.monotonic());
    if (coming !== undefined) {
      await abortable(coming, request.signal);
      const placement = this.#packs.again(request, clock.monotonic(), this.#fits);
      if (placement !== undefined) return placement;
    }
    const count = this.#packs.count(request, clock.monotonic());
    const returned = this.#packs.returned(clock.monotonic());
    try {
      const response = await this.#send(request, out, {
        ...(count > 1 && { count }),
        ...(returned.length > 0 && { returned_lease_ids: returned }),
      });
      const more = response.more.flatMap((lease) => placementOf(lease, []));
      if (count > 1) this.#packs.put(request, clock.monotonic(), more);
      const alternatives = response.alternatives
        .map(nodeFromWire)
        .filter((node) => !health.isExcluded(node) && !health.isBroken(node));
      const [placement] = placementOf(response.lease, alternatives);
      if (placement !== undefined) return placement;
      throw new CabstandError('NO_NODE', 'the router gave no hoster and no reason');
    } catch (thrown) {
      if (count > 1) this.#packs.failed(request, clock.monotonic());
      const isOlder = CabstandError.from(thrown).reason === 'UNIMPLEMENTED';
      if (!isOlder || (count === 1 && returned.length === 0)) throw thrown;
      this.#packs.forgo();
      return this.ask(request, out);
    }
  }

  #send(
    request: PlacementRequest,
    out: readonly NodeRef[],
    pack: PackFields,
  ): Promise<v1.AcquireResponse__Output> {
    const wire = acquireRequest(request, out, pack);
    return callSpan(RouterService.rpc_acquire.info, request.trace, (headers) =>
      this.parts.routers.ask(
        (client, options) =>
          client.unary(RouterService.rpc_acquire, wire, {
            ...{ ...options, headers },
            onBehalfOf: request.onBehalfOf,
          }),
        request.signal,
        // What was seen last is better than waiting for a router that is known to say nothing.
        candidates(this.parts.cache.nodes, request, () => false).length === 0,
      ),
    );
  }

  /** Nothing bad is known of its node since it was given. */
  readonly #fits = ({ node }: Placement): boolean => {
    const { health, cache } = this.parts;
    if (health.isBroken(node) || health.isExcluded(node)) return false;
    const known = cache.get(node.nodeId);
    return (
      known === undefined || (known.state === 'online' && known.incarnation === node.incarnation)
    );
  };
}
