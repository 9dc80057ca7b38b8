import { BoundedMap, CabstandError } from '@cabstand/core';
import { normalizeAudience } from '@cabstand/auth';
import { Conditions } from './conditions';
import { newFacts, sameState, stateOf } from '../health/state';
import { Standing } from '../health/standing';
import { NO_LOAD, isAlive } from './node';
import { Quotas, overQuota } from './quotas';
import { nodeExists, notYours, replacedBy } from './refusals';
import { makeSlots, sameOffer } from './slots';
import { SwapList } from './swap-list';
import { checkRegistration } from './validate';
import type { Clock } from '@cabstand/core';
import type { Allowance } from '../probing/allowance';
import type { NodeStateKind, OfflineCause } from '../health/state';
import type { ModelCondition, Node, Offer, Slot } from './node';
import type { Registration } from './validate';

/** Told about changes, after they have happened. */
export interface RegistryListener {
  nodeAdded(node: Node): void;
  /** Its state or its reasons changed. */
  stateChanged(node: Node, before: NodeStateKind): void;
  slotAdded(slot: Slot): void;
  /** The slot is no longer offered, or its node was replaced or forgotten. */
  slotRemoved(slot: Slot): void;
  /** What it offers, or its address, changed. */
  offersChanged(node: Node): void;
  /** It is new, or gave another address than before. */
  addressGiven(node: Node): void;
  /** Replaced or forgotten. */
  nodeRemoved(node: Node): void;
}

export interface RegistryOptions {
  readonly clock: Clock;
  readonly maxNodes: number;
  readonly maxNodesPerPrincipal: number;
  readonly maxOffers: number;
  readonly maxModelsPerNode: number;
  readonly maxModelNames: number;
  readonly maxSlotsPerNode: number;
  readonly forgetAfterMs: number;
  /** Which addresses hosters may give. */
  readonly allowed: Pick<Allowance, 'refuses'>;
  /** The heartbeat period for a fleet of this size. */
  readonly periodMs: (aliveNodes: number) => number;
}

/** The nodes, by id, address and model. Knows who may touch which and which process is the current one. */
export class Registry {
  readonly #nodes = new Map<string, Node>();
  /** By the address in its one spelling. */
  readonly #byAddress = new Map<string, Node>();
  readonly #byModel = new Map<string, SwapList<Node>>();
  readonly #all = new SwapList<Node>();
  readonly #conditions = new Conditions();
  readonly #quotas: Quotas;
  /** OFFLINE nodes, the one that went first in front. */
  readonly #offline = new Set<Node>();
  /** Processes whose place another one has taken. */
  readonly #retired: BoundedMap<string, true>;
  readonly #modelNames: BoundedMap<string, true>;
  readonly #states: Record<NodeStateKind, number> = {
    JOINING: 0,
    ONLINE: 0,
    SUSPECT: 0,
    DRAINING: 0,
    OFFLINE: 0,
  };

  constructor(
    private readonly options: RegistryOptions,
    private readonly listener: RegistryListener,
  ) {
    this.#quotas = new Quotas(options);
    this.#retired = new BoundedMap(options.maxNodes);
    this.#modelNames = new BoundedMap(options.maxModelNames);
  }

  get nodes(): ReadonlyMap<string, Node> {
    return this.#nodes;
  }

  get states(): Readonly<Record<NodeStateKind, number>> {
    return this.#states;
  }

  /** Nodes that are not OFFLINE. */
  get alive(): number {
    return this.#nodes.size - this.#states.OFFLINE;
  }

  get models(): number {
    return this.#byModel.size;
  }

  /** Nodes that offer the model, in no order; all nodes where it is undefined. */
  withModel(model: string | undefined): SwapList<Node> | undefined {
    return model === undefined ? this.#all : this.#byModel.get(model);
  }

  /** Models that nodes have and do not serve now. */
  get conditions(): number {
    return this.#conditions.size;
  }

  /** How a model is that no node offers; undefined where none that is alive has it. */
  conditionOf(model: string): 'loading' | 'failed' | undefined {
    return this.#conditions.of(model);
  }

  /** Whether any node has ever offered the model, as far as the router remembers. */
  hasSeen(model: string): boolean {
    return this.#modelNames.has(model);
  }

  /**
   * Registers a process. The same one may register again: it tells what has changed. A restart at its
   * address takes the place of the process before it. Throws NODE_EXISTS for the place of an alive node
   * otherwise, PERMISSION_DENIED for that of another principal's, QUOTA_EXCEEDED, and what
   * `checkRegistration` throws.
   */
  register(input: Registration, principal: string): Node {
    const { maxModelsPerNode, allowed } = this.options;
    const wanted = checkRegistration(input, maxModelsPerNode, allowed);
    const { nodeId, address, incarnation } = wanted;
    const holders = new Set([
      this.#nodes.get(nodeId),
      this.#byAddress.get(normalizeAudience(address)),
    ]);
    holders.delete(undefined);
    const current = this.#nodes.get(nodeId);
    for (const holder of holders as Set<Node>) {
      if (!isAlive(holder)) continue;
      if (holder.principal !== principal) throw notYours(holder.id);
      // Whether they share the id or the address: otherwise the two would take turns for ever.
      if (this.#retired.has(retiredKey(nodeId, incarnation))) throw replacedBy(holder);
      const sameAddress = normalizeAudience(holder.address) === normalizeAudience(address);
      if (holder.id === nodeId && sameAddress) continue;
      // An incarnation can be read by every client: it does not prove that the process has moved.
      if (!sameAddress || !holder.facts.signals.has('heartbeat')) throw nodeExists(holder);
    }
    const same = current?.incarnation === incarnation && current.principal === principal;
    if (!same) this.#makeRoomFor(principal, holders as Set<Node>);
    this.#quotas.check(principal, wanted, holders as Set<Node>, same ? current : undefined);
    for (const holder of holders as Set<Node>)
      if (!same || holder !== current) this.#replace(holder, incarnation);
    if (same) return this.#refresh(current, wanted);
    this.#makeRoom();
    const now = this.options.clock.monotonic();
    const standing =
      current?.principal === principal ? current.standing.successor(now) : new Standing(now);
    return this.#add(wanted, principal, standing);
  }

  /** The alive node that NODE_EXISTS was about. */
  holder(error: unknown): Node | undefined {
    if (!(error instanceof CabstandError) || error.reason !== 'NODE_EXISTS') return undefined;
    return this.#nodes.get(error.metadata.node_id ?? '');
  }

  /** The node, if this process is the current one and the principal registered it. */
  current(nodeId: string, incarnation: string, principal: string): Node | undefined {
    const node = this.#nodes.get(nodeId);
    if (node?.incarnation !== incarnation) {
      if (node !== undefined && this.#retired.has(retiredKey(nodeId, incarnation)))
        throw replacedBy(node);
      return undefined;
    }
    if (node.principal !== principal) throw notYours(nodeId);
    return node;
  }

  /** Call after its facts have changed. */
  update(node: Node): void {
    const before = node.state;
    const after = stateOf(node.facts);
    if (sameState(before, after)) return;
    node.state = after;
    node.revision++;
    if (before.kind !== after.kind) {
      node.stateSince = this.options.clock.monotonic();
      this.#states[before.kind]--;
      this.#states[after.kind]++;
      this.#offline.delete(node);
      if (after.kind === 'OFFLINE') this.#offline.add(node);
    }
    this.listener.stateChanged(node, before.kind);
  }

  setOffline(node: Node, cause: OfflineCause, reason: string): void {
    node.facts.offline = { cause, reason };
    this.update(node);
  }

  setOffers(node: Node, offers: readonly Offer[], others: readonly ModelCondition[]): void {
    const before = node.slots;
    this.#quotas.setOffers(node, offers);
    const after = makeSlots(node, node.offers, this.options.maxSlotsPerNode);
    this.#conditions.forget(node);
    node.others = others;
    this.#conditions.learn(node);
    node.revision++;
    for (const [name, slot] of before) {
      const next = after.get(name);
      if (next !== undefined && sameOffer(slot, next)) after.set(name, slot);
      else {
        // Out of reach first: what ends with the slot must not find it.
        node.slots.delete(name);
        this.listener.slotRemoved(slot);
      }
    }
    node.slots = after;
    for (const [name, slot] of after) {
      this.#modelNames.set(name, true);
      if (before.get(name) !== slot) this.listener.slotAdded(slot);
    }
    for (const name of before.keys()) if (!after.has(name)) this.#unlist(name, node);
    for (const name of after.keys()) this.#list(name, node);
    this.listener.offersChanged(node);
  }

  /** Forgets nodes that have been OFFLINE for long enough. */
  sweep(): void {
    const now = this.options.clock.monotonic();
    for (const node of this.#offline) {
      if (now - node.stateSince < this.options.forgetAfterMs) break;
      this.#remove(node);
    }
  }

  #add(wanted: Registration, principal: string, standing: Standing): Node {
    const { clock } = this.options;
    const facts = newFacts();
    const node: Node = {
      id: wanted.nodeId,
      incarnation: wanted.incarnation,
      principal,
      registeredAt: clock.now(),
      address: wanted.address,
      version: wanted.version,
      offers: [],
      others: [],
      slots: new Map(),
      load: NO_LOAD,
      facts,
      state: stateOf(facts),
      stateSince: clock.monotonic(),
      lastHeartbeat: undefined,
      lastSeen: clock.monotonic(),
      periodMs: this.options.periodMs(this.alive + 1),
      standing,
      bannedUntil: undefined,
      stream: undefined,
      claims: new Map(),
      revision: 0,
    };
    this.#nodes.set(node.id, node);
    this.#quotas.added(node);
    this.#byAddress.set(normalizeAudience(node.address), node);
    this.#all.add(node);
    this.#states[node.state.kind]++;
    this.listener.nodeAdded(node);
    this.setOffers(node, wanted.offers, wanted.others);
    this.listener.addressGiven(node);
    return node;
  }

  #refresh(node: Node, wanted: Registration): Node {
    const key = normalizeAudience(node.address);
    if (this.#byAddress.get(key) === node) this.#byAddress.delete(key);
    const moved = node.address !== wanted.address;
    node.address = wanted.address;
    this.#byAddress.set(normalizeAudience(node.address), node);
    node.version = wanted.version;
    node.lastSeen = this.options.clock.monotonic();
    node.periodMs = this.options.periodMs(this.alive);
    node.facts.offline = undefined;
    node.facts.signals.delete('heartbeat');
    this.setOffers(node, wanted.offers, wanted.others);
    this.update(node);
    if (moved) this.listener.addressGiven(node);
    return node;
  }

  #replace(node: Node, successor: string): void {
    if (node.incarnation !== successor)
      this.#retired.set(retiredKey(node.id, node.incarnation), true);
    this.setOffline(node, 'replaced', 'a newer process took its place');
    this.#remove(node);
  }

  #remove(node: Node): void {
    for (const [name, slot] of [...node.slots]) {
      node.slots.delete(name);
      this.listener.slotRemoved(slot);
      this.#unlist(name, node);
    }
    this.#conditions.forget(node);
    this.#nodes.delete(node.id);
    this.#quotas.removed(node);
    const key = normalizeAudience(node.address);
    if (this.#byAddress.get(key) === node) this.#byAddress.delete(key);
    this.#all.remove(node);
    this.#offline.delete(node);
    this.#states[node.state.kind]--;
    this.listener.nodeRemoved(node);
  }

  /** A principal whose nodes come and go under new names gives up its own OFFLINE ones first. */
  #makeRoomFor(principal: string, leaving: ReadonlySet<Node>): void {
    if (!this.#quotas.isFull(principal)) return;
    for (const node of this.#offline)
      if (node.principal === principal && !leaving.has(node)) {
        this.#remove(node);
        return;
      }
  }

  #makeRoom(): void {
    if (this.#nodes.size < this.options.maxNodes) return;
    const oldest = this.#offline.values().next().value;
    if (oldest === undefined) throw overQuota('max_nodes', this.options.maxNodes, 'nodes');
    this.#remove(oldest);
  }

  #list(model: string, node: Node): void {
    let list = this.#byModel.get(model);
    if (list === undefined) this.#byModel.set(model, (list = new SwapList()));
    list.add(node);
  }

  #unlist(model: string, node: Node): void {
    const list = this.#byModel.get(model);
    list?.remove(node);
    if (list?.length === 0) this.#byModel.delete(model);
  }
}

function retiredKey(nodeId: string, incarnation: string): string {
  return `${nodeId}\n${incarnation}`;
}
