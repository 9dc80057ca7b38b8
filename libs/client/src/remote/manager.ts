import { EventEmitter } from 'node:events';
import {
  CabstandError,
  abortable,
  checkOptions,
  linkSignals,
  throwIfAborted,
} from '@cabstand/core';
import { HosterService, RouterService } from '@cabstand/rpc';
import type { RpcClientPool } from '@cabstand/rpc';
import { makePool } from '../connection';
import type { ConnectionOptions } from '../connection';
import type { Target } from '../protocol/types';
import { nodeKey } from '../retry/exclusions';
import type { NodeRef } from '../retry/exclusions';
import { nodeFromWire } from './from-wire';
import { askHosters } from './ask-hosters';
import { NodeHealth, allBroken } from './health';
import { infoFromWire } from './info';
import type { HosterInfo } from './info';
import { NodeCache } from './node-cache';
import { withRemoteDefaults } from './options';
import type { RemoteManagerOptions, RemoteSettings } from './options';
import { candidates, rank } from './pick';
import { Reservations } from './reservations';
import { Routers } from './routers';
import { listingModels } from './unknown-model';
import type { Outcome, Placement, PlacementRequest, PlacementSource, RemoteNode } from './types';
import { watchNodes } from './watch';
import { isSet } from '../is-set';

export interface RemoteEvents {
  /** The node list has changed. */
  nodes: [readonly RemoteNode[]];
  /** A router could not be reached or let go of the watch; the next one is tried. */
  routerLost: [CabstandError];
}

/** The list of models is waited for no longer: it only makes an error clearer. */
const LISTING_MS = 500;

/**
 * Knows the subnet: which hosters there are, and where a session should go. Watches the nodes from any
 * router once it is first used, and places sessions from what it saw last while no router answers.
 */
export class RemoteManager
  extends EventEmitter<RemoteEvents>
  implements PlacementSource, AsyncDisposable
{
  /** Its own options: a `SessionManager` connects in the same way unless it is told otherwise. */
  readonly connection: ConnectionOptions;
  /** Its connections: a `SessionManager` that is not told otherwise uses them too. */
  readonly pool: RpcClientPool;
  readonly #settings: RemoteSettings;
  readonly #routers: Routers;
  readonly #health: NodeHealth;
  readonly #cache: NodeCache;
  readonly #reservations: Reservations;
  readonly #closing = new AbortController();
  #watch: { readonly first: Promise<void>; readonly over: Promise<void> } | undefined;

  constructor(options: RemoteManagerOptions) {
    super();
    const settings = withRemoteDefaults(options);
    this.connection = options;
    this.#settings = settings;
    const { clock, random, acquireMs } = settings;
    this.pool = makePool(options, clock);
    this.#routers = new Routers(
      { addresses: settings.routers, acquireMs, openMs: settings.breakerMs },
      this.pool,
      clock,
      random,
    );
    this.#health = new NodeHealth(
      {
        failures: settings.breakerFailures,
        openMs: settings.breakerMs,
        failedMs: settings.failedMs,
        fullMs: settings.fullMs,
        limit: settings.maxNodes,
      },
      clock,
    );
    this.#cache = new NodeCache(settings.maxNodes);
    this.#reservations = new Reservations({
      ...{ routers: this.#routers, health: this.#health, cache: this.#cache, clock },
    });
  }

  /** The nodes as the watch told them last; empty before its first word and without routers. */
  get knownNodes(): readonly RemoteNode[] {
    return this.#cache.nodes;
  }

  /**
   * The nodes of the subnet. Waits for a router's first word, `acquireMs` at most, and gives what is
   * cached after that. Throws ROUTER_UNREACHABLE if there never was any. With `hosters` alone, asks
   * each for its info.
   */
  async nodes(signal?: AbortSignal): Promise<readonly RemoteNode[]> {
    if (this.#routers.size === 0)
      return askHosters(this.#settings.hosters, (address) =>
        this.info(address, signal === undefined ? {} : { signal }),
      );
    await this.#firstWord(signal);
    return this.#cache.nodes;
  }

  /** What a hoster says of itself. Throws NODE_UNREACHABLE, or what the hoster answers. */
  async info(
    address: string,
    options: { readonly models?: readonly string[]; readonly signal?: AbortSignal } = {},
  ): Promise<HosterInfo> {
    checkOptions('info()', options, { models: true, signal: true });
    const response = await this.pool
      .get(address)
      .unary(
        HosterService.rpc_info,
        { models: [...(options.models ?? [])] },
        { signal: options.signal, timeoutMs: this.#settings.acquireMs },
      );
    return infoFromWire(address, response);
  }

  /**
   * A hoster for a session: from a router with a reservation, from the cache where no router answers or
   * the request says so, from `hosters` without routers. Throws NO_NODE if none has room,
   * MODEL_UNKNOWN, ROUTER_UNREACHABLE if there is neither a router nor a cached node.
   */
  async acquire(request: PlacementRequest): Promise<Placement> {
    if (this.#closing.signal.aborted)
      throw new CabstandError('CANCELLED', 'the remote manager is closed');
    if (this.#routers.size === 0) return this.#fromList(request);
    this.#startWatch();
    const known = request.known === true ? this.#fromKnown(request) : undefined;
    if (known !== undefined) return known;
    const ahead = this.#reservations.ahead(request);
    if (ahead !== undefined) return ahead;
    try {
      return await this.#fromRouter(request);
    } catch (thrown) {
      const error = CabstandError.from(thrown);
      if (error.reason === 'MODEL_UNKNOWN') throw await this.#withModels(error, request.signal);
      if (error.reason !== 'ROUTER_UNREACHABLE') throw error;
      return this.#fromCache(request, error);
    }
  }

  /** Hosters that may be asked about a model. Throws ROUTER_UNREACHABLE where none answers and none is cached. */
  async hostersOf(
    request: Pick<PlacementRequest, 'model' | 'digest' | 'allow' | 'block' | 'signal'>,
  ): Promise<readonly Target[]> {
    if (this.#routers.size === 0) return this.#settings.hosters.map(byAddress);
    await this.#firstWord(request.signal);
    return this.#healthy(request);
  }

  /** What `hostersOf` would give of the nodes that the watch has told so far. */
  knownHosters(model: string): readonly Target[] {
    if (this.#routers.size === 0) return this.#settings.hosters.map(byAddress);
    return this.#healthy({ model });
  }

  #healthy(request: Pick<PlacementRequest, 'model' | 'digest' | 'allow' | 'block'>) {
    return candidates(this.#cache.nodes, request, (node) => this.#health.isBroken(node));
  }

  /**
   * Hosters that claim a durable session, as the routers know it; the one with the highest epoch first.
   * Empty where none does. Throws ROUTER_UNREACHABLE.
   */
  async locate(
    sessionId: string,
    signal?: AbortSignal,
    onBehalfOf?: string,
  ): Promise<readonly RemoteNode[]> {
    if (this.#routers.size === 0) return [];
    const request = { session_id: sessionId };
    const response = await this.#routers.ask(
      (client, options) =>
        client.unary(RouterService.rpc_locate, request, { ...options, onBehalfOf }),
      signal,
    );
    return response.locations.flatMap(({ node }) => (isSet(node) ? [nodeFromWire(node)] : []));
  }

  enter(node: Target): boolean {
    return this.#health.enter(node);
  }

  settle(node: Target, outcome: Outcome): void {
    const blamed = this.#health.settle(node, outcome);
    if (outcome.kind !== 'served') this.#cache.place(node.address, -1);
    if (outcome.kind !== 'failed' || !blamed || this.#closing.signal.aborted) return;
    this.#routers.report({
      node_id: node.nodeId,
      incarnation: node.incarnation,
      lease_id: outcome.leaseId ?? '',
      reason: outcome.error.reason,
      message: outcome.error.message.slice(0, 500),
    });
  }

  /** Ends the watch and closes all connections to routers. Never throws. */
  async close(): Promise<void> {
    this.#closing.abort(new CabstandError('CANCELLED', 'the remote manager was closed'));
    this.#routers.close();
    await this.#watch?.over;
    this.pool.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #fromRouter(request: PlacementRequest): Promise<Placement> {
    const broken = this.#broken();
    const avoid = request.avoid ?? [];
    // Where nobody is left, those that merely failed before are better than none, and the one that a
    // session is leaving is the last to turn to.
    const tiers = [[...avoid, ...broken, ...this.#health.excluded()], [...avoid, ...broken], broken]
      // Each node once, so that a longer list leaves out more.
      .map((refs) => [...new Map(refs.map((ref) => [nodeKey(ref), ref])).values()]);
    for (;;) {
      const out = tiers.shift() ?? [];
      try {
        return await this.#reservations.ask(request, out);
      } catch (thrown) {
        const error = CabstandError.from(thrown);
        while (tiers[0] !== undefined && tiers[0].length >= out.length) tiers.shift();
        if (error.reason !== 'NO_NODE' || tiers.length === 0) throw error;
      }
    }
  }

  #broken(): NodeRef[] {
    return this.#cache.nodes.filter((node) => this.#health.isBroken(node));
  }

  #fromCache(request: PlacementRequest, noRouter: CabstandError): Placement {
    const nodes = candidates(this.#cache.nodes, request, () => false);
    if (nodes.length === 0) throw noRouter;
    return this.#choose(nodes, request, this.#roomFor(request));
  }

  /** From the cache, where that has a node with room of which nothing bad is known. */
  #fromKnown(request: PlacementRequest): Placement | undefined {
    const { avoid = [] } = request;
    const room = this.#roomFor(request);
    const good = candidates(
      this.#cache.nodes,
      request,
      (node) =>
        node.state !== 'online' ||
        room(node) <= 0 ||
        this.#health.isBroken(node) ||
        this.#health.isExcluded(node) ||
        avoid.some((other) => nodeKey(other) === nodeKey(node)),
    );
    return good.length === 0 ? undefined : this.#choose(good, request, room);
  }

  #roomFor({ model }: PlacementRequest): (node: RemoteNode) => number {
    return ({ address, models }) =>
      (models.find(({ name }) => name === model)?.freeSlots ?? 0) - this.#cache.placedAt(address);
  }

  #fromList(request: PlacementRequest): Placement {
    const { allow = [], block = [] } = request;
    const nodes = this.#settings.hosters
      .map(byAddress)
      .filter(
        ({ nodeId }) => (allow.length === 0 || allow.includes(nodeId)) && !block.includes(nodeId),
      );
    if (nodes.length === 0)
      throw new CabstandError('NO_NODE', 'the allow and block lists leave no hoster');
    return this.#choose(nodes, request, ({ address }) => -this.#cache.placedAt(address));
  }

  #choose<N extends Target>(
    nodes: readonly N[],
    { avoid = [] }: PlacementRequest,
    score: (node: N) => number,
  ): Placement {
    const usable = nodes.filter((node) => !this.#health.isBroken(node));
    const waitMs = this.#health.waitMs(nodes);
    if (usable.length === 0) throw allBroken(waitMs ?? 0);
    const others = usable.filter(
      (node) => !avoid.some((other) => nodeKey(other) === nodeKey(node)),
    );
    const preferred = others.filter((node) => !this.#health.isExcluded(node));
    const pool = [preferred, others, usable].find((nodes) => nodes.length > 0) ?? [];
    const [first, ...next] = rank(pool, score, this.#settings.random);
    if (first === undefined) throw new CabstandError('NO_NODE', 'there is no hoster');
    this.#cache.place(first.address, 1);
    return { node: first, lease: undefined, alternatives: next };
  }

  #startWatch(): { readonly first: Promise<void>; readonly over: Promise<void> } {
    if (this.#watch !== undefined) return this.#watch;
    const { models, maxNodes, clock, random } = this.#settings;
    let told: () => void = () => undefined;
    const first = new Promise<void>((resolve) => {
      told = resolve;
    });
    const over = watchNodes(
      this.#routers,
      this.#cache,
      {
        models,
        maxNodes,
        clock,
        random,
        changed: () => {
          told();
          this.emit('nodes', this.#cache.nodes);
        },
        lost: (error) => this.emit('routerLost', error),
      },
      this.#closing.signal,
    );
    this.#watch = { first, over };
    return this.#watch;
  }

  /** With the models that the watched nodes have; a router that just answered tells its nodes at once. */
  async #withModels(error: CabstandError, signal: AbortSignal | undefined): Promise<CabstandError> {
    // Who watches some models only does not know the others.
    if (this.#settings.models.length > 0) return error;
    await this.#firstWord(signal, LISTING_MS).catch(() => undefined);
    throwIfAborted(signal);
    return listingModels(
      error,
      this.#cache.nodes.flatMap(({ models }) => models.map(({ name }) => name)),
    );
  }

  async #firstWord(
    signal: AbortSignal | undefined,
    waitMs = this.#settings.acquireMs,
  ): Promise<void> {
    const { clock, routers } = this.#settings;
    using link = linkSignals([signal, this.#closing.signal], {
      ms: waitMs,
      reason: 'ROUTER_UNREACHABLE',
      what: `the first word of a router (${routers.join(', ')})`,
      clock,
    });
    await abortable(this.#startWatch().first, link.signal);
  }
}

/** A hoster of which only the address is known. */
function byAddress(address: string): Target {
  return { nodeId: address, incarnation: '', address };
}
