import { CabstandError, invalid } from '@cabstand/core';
import { HandOuts } from './handouts';
import { Bans } from './health/bans';
import { Monitor } from './health/monitor';
import { Reports } from './health/reports';
import { Heartbeats } from './heartbeats';
import { Leases } from './leases/leases';
import { normalizeOptions } from './options';
import { Placement } from './placement/placement';
import { Pools } from './placement/pools';
import { Claims } from './registry/claims';
import { Registry } from './registry/registry';
import { checkNodeId, clip, checkSessionId } from './registry/validate';
import { WatchHub } from './watch/hub';
import type { AcquireWanted, HandOut } from './handouts';
import type { Prober } from './health/prober';
import type { Beat } from './heartbeats';
import type { RouterObserver, RouterSizes } from './observer';
import type { RouterCoreOptions, RouterSettings } from './options';
import type { Allowance } from './probing/allowance';
import type { BeatAnswer, BeatStream } from './registry/beat-stream';
import type { Location } from './registry/claims';
import type { Node } from './registry/node';
import type { Registration } from './registry/validate';
import type { Watch, WatchWanted } from './watch/hub';

export interface RouterCoreParts {
  /** Asks suspects whether they serve. Default: every probe succeeds (nothing is ever asked). */
  readonly prober?: Prober;
  readonly observer?: RouterObserver;
  /** Which addresses hosters may give. Default: all. */
  readonly allowed?: Pick<Allowance, 'refuses'>;
}

/** A client's evidence about a node that it was given. */
export interface Report {
  readonly nodeId: string;
  readonly incarnation: string;
  readonly leaseId: string;
  readonly reason: string;
}

const ANYWHERE: Pick<Allowance, 'refuses'> = { refuses: () => undefined };
const TRUSTING: Prober = { probe: () => Promise.resolve() };

/** A router without its transport: which nodes there are, how they are, and who gets which. */
export class RouterCore {
  readonly settings: RouterSettings;
  readonly #registry: Registry;
  readonly #pools = new Pools();
  readonly #leases: Leases;
  readonly #claims: Claims;
  readonly #bans: Bans;
  readonly #reports: Reports;
  readonly #monitor: Monitor;
  readonly #heartbeats: Heartbeats;
  readonly #handOuts: HandOuts;
  readonly #watch: WatchHub;
  readonly #observer: RouterObserver;

  constructor(options: RouterCoreOptions, parts: RouterCoreParts) {
    const settings = (this.settings = normalizeOptions(options));
    const { clock, random } = settings;
    const observer = (this.#observer = parts.observer ?? {});
    const periodMs = (): number => this.#periodMs(this.#registry.alive);
    this.#registry = new Registry(
      {
        ...settings,
        allowed: parts.allowed ?? ANYWHERE,
        periodMs: (alive) => this.#periodMs(alive),
      },
      {
        nodeAdded: (node) => observer.nodeAdded?.(node),
        stateChanged: (node, before) => this.#stateChanged(node, before),
        slotAdded: (slot) => this.#pools.add(slot),
        slotRemoved: (slot) => {
          this.#leases.endAll(slot);
          this.#pools.remove(slot);
        },
        offersChanged: (node) => this.#watch.changed(node),
        addressGiven: (node) => this.#monitor.addressGiven(node),
        nodeRemoved: (node) => this.#removed(node),
      },
    );
    this.#leases = new Leases({
      ...settings,
      changed: (slot) => this.#pools.refresh(slot),
      ended: (lease, end) => {
        const { free, node } = lease.slot;
        // One that says that it is full may have refused it, and rightly.
        if (end === 'expired' && free > 0 && !lease.spare)
          node.standing.unused(lease.principal, clock.monotonic());
        observer.leaseEnded?.(end);
      },
    });
    this.#claims = new Claims(clock, settings.maxClaims, settings.maxClaimsPerNode);
    this.#bans = new Bans({
      ...settings,
      aliveNodes: () => this.#registry.alive,
      changed: (node) => this.#banChanged(node),
    });
    this.#reports = new Reports(settings);
    this.#monitor = new Monitor(settings, {
      registry: this.#registry,
      bans: this.#bans,
      reports: this.#reports,
      prober: parts.prober ?? TRUSTING,
      periodMs,
      probed: (node, failure) => observer.probed?.(node, failure),
      unreachable: (node, why) => observer.unreachable?.(node, why),
    });
    this.#watch = new WatchHub({
      ...settings,
      maxModels: settings.maxModelsPerNode,
      withModel: (model) => this.#registry.withModel(model),
    });
    this.#heartbeats = new Heartbeats(settings, {
      registry: this.#registry,
      pools: this.#pools,
      leases: this.#leases,
      claims: this.#claims,
      monitor: this.#monitor,
      loadChanged: (node) => this.#watch.loadChanged(node),
      moved: (move) => observer.moved?.(move),
      periodMs,
    });
    const placement = new Placement(this.#pools, this.#registry.nodes, {
      clock,
      alternatives: settings.alternatives,
      random,
    });
    this.#handOuts = new HandOuts(settings, {
      registry: this.#registry,
      placement,
      pools: this.#pools,
      leases: this.#leases,
      claims: this.#claims,
      observer,
      periodMs,
      startedAt: clock.monotonic(),
    });
    this.#monitor.start();
  }

  get incarnation(): string {
    return this.settings.incarnation;
  }

  get nodes(): ReadonlyMap<string, Node> {
    return this.#registry.nodes;
  }

  /**
   * A hoster joins, or tells again what it is. Idempotent per incarnation. Throws NODE_EXISTS for the
   * place of an alive node, which `admit` looks into.
   */
  register(registration: Registration, principal: string): Node {
    return this.#registry.register(registration, principal);
  }

  /** As `register`; an alive node that has the place and that a probe does not reach any more is replaced. */
  async admit(registration: Registration, principal: string): Promise<Node> {
    const holders: Node[] = [];
    // A registration can meet two: one with its id and one with its address.
    while (holders.length < 2)
      try {
        return this.#registry.register(registration, principal);
      } catch (error) {
        const holder = this.#registry.holder(error);
        if (holder === undefined || !(await this.#monitor.isGone(holder))) throw error;
        holders.push(holder);
      }
    return this.#registry.register(registration, principal);
  }

  heartbeat(beat: Beat, principal: string, stream?: BeatStream): BeatAnswer {
    return this.#heartbeats.beat(beat, principal, stream);
  }

  /** A stream of heartbeats ended: those nodes that still used it have missed theirs. */
  streamEnded(stream: BeatStream, nodeIds: Iterable<string>): void {
    for (const id of nodeIds) {
      const node = this.#registry.nodes.get(id);
      if (node?.stream !== stream) continue;
      node.stream = undefined;
      this.#monitor.streamLost(node);
    }
  }

  /** This incarnation goes OFFLINE now. Throws INCARNATION_UNKNOWN or PERMISSION_DENIED. */
  deregister(nodeId: string, incarnation: string, principal: string, reason: string): void {
    const node = this.#registry.current(nodeId, incarnation, principal);
    if (node === undefined)
      throw new CabstandError('INCARNATION_UNKNOWN', `no such process of node ${clip(nodeId)}`);
    this.#registry.setOffline(node, 'deregistered', clip(reason));
  }

  acquire(wanted: AcquireWanted, principal: string): HandOut {
    return this.#handOuts.acquire(wanted, principal);
  }

  /** Further places with the one that `acquire` gave, for sessions that follow soon; `count` at most. */
  more(wanted: AcquireWanted, principal: string, count: number): readonly HandOut[] {
    return this.#handOuts.more(wanted, principal, count);
  }

  /** Its principal gives a lease back; nothing happens where it has none of this id. */
  giveBack(leaseId: string, principal: string): void {
    this.#leases.giveBack(leaseId, principal);
  }

  /** Gives a lease back that nobody will use. */
  release(leaseId: string): void {
    this.#leases.end(leaseId, 'released');
  }

  watch(wanted: WatchWanted, principal: string, signal: AbortSignal): Promise<Watch> {
    return this.#watch.watch(wanted, principal, signal);
  }

  /** Who claims a session of the principal, the likeliest first. */
  locate(sessionId: string, principal: string): readonly Location[] {
    checkSessionId(sessionId);
    return this.#claims.locate(principal, sessionId);
  }

  /** The principals that have a session of this id, with who claims it. For administrators; looks at every node. */
  claimants(sessionId: string): ReadonlyMap<string, readonly Location[]> {
    const found = new Map<string, readonly Location[]>();
    for (const node of this.nodes.values())
      for (const principal of node.claims.get(sessionId) ?? [])
        if (!found.has(principal)) found.set(principal, this.locate(sessionId, principal));
    return found;
  }

  /** Throws RATE_LIMITED. Reports about nodes or processes that are no more are taken and dropped. */
  report(report: Report, principal: string): void {
    checkNodeId(report.nodeId);
    this.#reports.charge(principal);
    const lease = this.#leases.get(report.leaseId);
    // The session that it was reserved for did not start there.
    const reserved = lease?.principal === principal && lease.nodeId === report.nodeId;
    if (reserved) this.#leases.end(report.leaseId, 'released');
    const node = this.#registry.nodes.get(report.nodeId);
    if (node === undefined) return;
    if (report.incarnation !== '' && report.incarnation !== node.incarnation) return;
    this.#observer.reported?.(node, clip(report.reason, 64));
    // Only who was handed the node out can say what became of that.
    if (reserved || this.#claims.hasUsed(node, principal))
      node.standing.failed(principal, this.settings.clock.monotonic());
    this.#monitor.reported(node, principal);
  }

  /** Asks a node to drain within `ms` (undefined: the configured time). Throws NODE_UNKNOWN. */
  drain(nodeId: string, ms: number | undefined): Node {
    const node = this.#alive(nodeId);
    const within = ms ?? this.settings.drainMs;
    if (!(within >= 0 && within <= 1e9))
      throw invalid('INVALID_ARGUMENT', 'deadline', within, '0 to 1000000000 ms');
    node.facts.drain = { by: 'admin', deadline: this.settings.clock.now() + within };
    node.facts.recalled = false;
    this.#registry.update(node);
    node.stream?.send(this.#heartbeats.answer(node));
    return node;
  }

  /**
   * Takes a drain back. The node stays DRAINING until it says that it takes sessions: it may be
   * about to stop. Throws NODE_UNKNOWN.
   */
  undrain(nodeId: string): Node {
    const node = this.#alive(nodeId);
    if (node.facts.drain === undefined) return node;
    node.facts.drain = { by: 'node', deadline: undefined };
    node.facts.recalled = true;
    this.#registry.update(node);
    node.stream?.send(this.#heartbeats.answer(node));
    return node;
  }

  sizes(): RouterSizes {
    return {
      nodes: { ...this.#registry.states },
      models: this.#registry.models,
      reservations: this.#leases.size,
      claims: this.#claims.size,
      banned: this.#bans.active,
      watchers: this.#watch.size,
      probesRunning: this.#monitor.probes.running,
      reporters: this.#reports.reporters,
    };
  }

  /** Entries in all maps that grow with work: 0 once all work has ended and all nodes are forgotten. */
  get footprint(): number {
    return (
      this.#registry.nodes.size +
      this.#registry.models +
      this.#registry.conditions +
      this.#pools.size +
      this.#leases.footprint +
      this.#claims.size +
      this.#bans.size +
      this.#monitor.probes.size +
      this.#watch.footprint
    );
  }

  /** Ends watches with `reason` and all timers. */
  stop(reason: CabstandError): void {
    this.#watch.close(reason);
    this.#monitor.stop();
    this.#leases.stop();
    this.#bans.stop();
  }

  /** Grows with the fleet, in steps of the shortest period so that it seldom changes. */
  #periodMs(alive: number): number {
    const { heartbeatPeriodMs, heartbeatsPerSecond } = this.settings;
    const steps = Math.ceil((alive * 1000) / heartbeatsPerSecond / heartbeatPeriodMs);
    return heartbeatPeriodMs * Math.max(1, steps);
  }

  #alive(nodeId: string): Node {
    checkNodeId(nodeId);
    const node = this.#registry.nodes.get(nodeId);
    if (node === undefined || node.state.kind === 'OFFLINE')
      throw new CabstandError('NODE_UNKNOWN', `no node ${nodeId} that is alive`, {
        metadata: { node_id: nodeId },
      });
    return node;
  }

  #stateChanged(node: Node, before: Node['state']['kind']): void {
    if (node.state.kind === 'OFFLINE' && before !== 'OFFLINE') {
      for (const slot of node.slots.values()) this.#leases.endAll(slot);
      this.#monitor.probes.forget(node);
    }
    this.#pools.refreshNode(node);
    this.#watch.changed(node);
    if (node.state.kind !== before) this.#observer.stateChanged?.(node, before);
  }

  #banChanged(node: Node): void {
    node.revision++;
    this.#pools.refreshNode(node);
    this.#watch.changed(node);
    if (node.bannedUntil !== undefined) this.#observer.banned?.(node);
  }

  #removed(node: Node): void {
    this.#monitor.forget(node);
    this.#claims.forget(node);
    this.#watch.changed(node);
    node.stream = undefined;
    this.#observer.nodeRemoved?.(node);
  }
}

/** Makes a router core: transport-free, with its own timers (they do not keep a process alive). */
export function createRouterCore(
  options: RouterCoreOptions = {},
  parts: RouterCoreParts = {},
): RouterCore {
  return new RouterCore(options, parts);
}
