import { boundConditions, checkOffers, clip } from './registry/validate';
import { applyLoad } from './registry/slots';
import type { BeatAnswer, BeatStream } from './registry/beat-stream';
import type { ClosedSession, SessionClaim } from './registry/claims';
import type { Claims } from './registry/claims';
import type { ModelCondition, Node, NodeLoad, Offer } from './registry/node';
import type { Registry } from './registry/registry';
import type { Monitor } from './health/monitor';
import type { Leases } from './leases/leases';
import type { Pools } from './placement/pools';
import type { SessionMove } from './observer';
import type { RouterSettings } from './options';

/** A heartbeat as the domain takes it. */
export interface Beat {
  readonly nodeId: string;
  readonly incarnation: string;
  readonly load: NodeLoad | undefined;
  readonly consumedLeaseIds: readonly string[];
  readonly sessionsOpened: readonly SessionClaim[];
  readonly sessionsClosed: readonly ClosedSession[];
  /** The hoster's own opinion why it should get no sessions. */
  readonly impairments: readonly string[];
  /** Set where what it offers has changed. */
  readonly offers: readonly Offer[] | undefined;
  /** Models that take no new sessions; counts where `offers` is set. */
  readonly others: readonly ModelCondition[];
  readonly draining: boolean;
}

export interface HeartbeatParts {
  readonly registry: Registry;
  readonly pools: Pools;
  readonly leases: Leases;
  readonly claims: Claims;
  readonly monitor: Monitor;
  readonly loadChanged: (node: Node) => void;
  /** A session that another node had goes on at this one. */
  readonly moved: (move: SessionMove) => void;
  readonly periodMs: () => number;
}

const MAX_IMPAIRMENTS = 16;

const UNKNOWN: BeatAnswer = {
  reregister: true,
  drain: false,
  drainMs: undefined,
  undrain: false,
  periodMs: undefined,
  state: undefined,
};

/** Takes heartbeats in and sends wishes down. */
export class Heartbeats {
  constructor(
    private readonly settings: RouterSettings,
    private readonly parts: HeartbeatParts,
  ) {}

  /**
   * Throws PERMISSION_DENIED for another principal's node, INCARNATION_UNKNOWN for a process whose
   * place another one took, INVALID_ARGUMENT or LIMIT_EXCEEDED for offers that are not acceptable.
   */
  beat(beat: Beat, principal: string, stream?: BeatStream): BeatAnswer {
    const { registry, monitor } = this.parts;
    const node = registry.current(beat.nodeId, beat.incarnation, principal);
    if (node === undefined || this.#saidGoodbye(node)) return UNKNOWN;
    const offers =
      beat.offers === undefined
        ? undefined
        : checkOffers(beat.offers, this.settings.maxModelsPerNode);
    if (stream !== undefined) node.stream = stream;
    const { clock } = this.settings;
    node.lastSeen = clock.monotonic();
    node.lastHeartbeat = clock.now();
    if (offers !== undefined)
      registry.setOffers(
        node,
        offers,
        boundConditions(beat.others, this.settings.maxModelsPerNode),
      );
    this.#takeLoad(node, beat);
    const impairments = beat.impairments.slice(0, MAX_IMPAIRMENTS).map((text) => clip(text));
    monitor.beaten(node, impairments, beat.draining);
    return this.answer(node);
  }

  /** What the node is to know now. */
  answer(node: Node): BeatAnswer {
    const periodMs = this.parts.periodMs();
    const isNew = periodMs !== node.periodMs;
    node.periodMs = periodMs;
    const { drain } = node.facts;
    const wished = drain?.by === 'admin';
    const left =
      wished && drain.deadline !== undefined
        ? Math.max(0, drain.deadline - this.settings.clock.now())
        : undefined;
    return {
      reregister: false,
      drain: wished,
      drainMs: left,
      undrain: node.facts.recalled,
      periodMs: isNew ? periodMs : undefined,
      state: node.state,
    };
  }

  #saidGoodbye(node: Node): boolean {
    return node.state.kind === 'OFFLINE' && node.state.cause === 'deregistered';
  }

  #takeLoad(node: Node, beat: Beat): void {
    const { registry, leases, claims, monitor, pools, loadChanged, moved } = this.parts;
    // Load and consumed leases belong together: the free slots told already lack what was consumed.
    const changed = beat.load !== undefined && applyLoad(node, beat.load);
    for (const leaseId of beat.consumedLeaseIds) {
      const lease = leases.get(leaseId);
      if (lease?.slot.node !== node) continue;
      leases.end(leaseId, 'consumed');
      monitor.succeeded(node, lease.principal);
      claims.leaseUsed(node, lease.principal);
      node.standing.used(lease.principal, node.lastSeen);
      pools.get(lease.model)?.used(lease.principal, node.lastSeen);
    }
    for (const session of beat.sessionsClosed) claims.closed(node, session);
    for (const claim of beat.sessionsOpened) {
      const fromId = claims.opened(node, claim);
      if (fromId === undefined) continue;
      moved({ session: claim, fromId, from: registry.nodes.get(fromId), to: node });
    }
    pools.refreshNode(node);
    node.revision++;
    if (changed) loadChanged(node);
  }
}
