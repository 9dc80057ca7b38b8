/**
 * What says that a node may be bad. Each signal clears only what it raised, so that a node does not
 * flap between two opinions.
 * - `heartbeat`: heartbeats are missing, or their stream was lost. Cleared by a heartbeat.
 * - `probe`: the router could not reach it. Cleared by a probe that succeeds; while heartbeats come,
 *   also by sessions that others open there, or in time, once no client complains any more.
 * - `canary`: the node's own opinion. Cleared by a heartbeat without impairments.
 */
export type Signal = 'heartbeat' | 'probe' | 'canary';

export type OfflineCause =
  /** It said goodbye. */
  | 'deregistered'
  /** Another process of the same node or address took its place. */
  | 'replaced'
  /** Heartbeats are missing and the probe failed too. */
  | 'unreachable'
  /** Heartbeats have been missing for too long, whatever the probes say. */
  | 'expired';

/** What is known about a node's health; its state follows from it. */
export interface HealthFacts {
  offline: { readonly cause: OfflineCause; readonly reason: string } | undefined;
  readonly signals: Map<Signal, readonly string[]>;
  drain: DrainFact | undefined;
  /** An administrator took the drain back and the node has not yet said that it takes sessions. */
  recalled: boolean;
  /** At least one heartbeat of this incarnation arrived: its load is known. */
  beaten: boolean;
  reach: Reach;
  /** What the last probe that failed met, for administrators. */
  met: string | undefined;
  /** Since when probes have failed while heartbeats came, monotonic; undefined while they do not. */
  failingSince: number | undefined;
}

/**
 * Whether probes get to the node at all.
 * - `unknown`: none has ended yet.
 * - `reached`: one got there; that later ones fail is evidence.
 * - `never`: none got there; it may be this router that has no way to it.
 */
type Reach = 'unknown' | 'reached' | 'never';

interface DrainFact {
  readonly by: 'admin' | 'node';
  /** Wall clock in milliseconds at which sessions that remain are to be frozen. */
  readonly deadline: number | undefined;
}

export type NodeState =
  /** Registered; no heartbeat yet. */
  | { readonly kind: 'JOINING'; readonly reasons: readonly string[] }
  /** Takes sessions. */
  | { readonly kind: 'ONLINE'; readonly reasons: readonly string[] }
  /** Something says that it may be bad; gets no new sessions until every signal is cleared. */
  | {
      readonly kind: 'SUSPECT';
      readonly signals: readonly Signal[];
      readonly reasons: readonly string[];
    }
  /** Serves what it has, gets nothing new. */
  | {
      readonly kind: 'DRAINING';
      readonly by: 'admin' | 'node';
      readonly reasons: readonly string[];
    }
  /** Gone; forgotten after a while. */
  | {
      readonly kind: 'OFFLINE';
      readonly cause: OfflineCause;
      readonly reasons: readonly string[];
    };

export type NodeStateKind = NodeState['kind'];

export const NODE_STATES: readonly NodeStateKind[] = [
  'JOINING',
  'ONLINE',
  'SUSPECT',
  'DRAINING',
  'OFFLINE',
];

export function newFacts(): HealthFacts {
  return {
    offline: undefined,
    signals: new Map(),
    drain: undefined,
    recalled: false,
    beaten: false,
    reach: 'unknown',
    met: undefined,
    failingSince: undefined,
  };
}

/** The state that follows from the facts. Suspicion outranks draining: neither takes sessions. */
export function stateOf(facts: HealthFacts): NodeState {
  if (facts.offline !== undefined) {
    const { cause, reason } = facts.offline;
    return { kind: 'OFFLINE', cause, reasons: [`${cause}: ${reason}`] };
  }
  const drainReasons = facts.drain === undefined ? [] : [`draining: asked by ${facts.drain.by}`];
  if (facts.signals.size > 0) {
    const reasons = [...facts.signals].flatMap(([signal, texts]) =>
      texts.map((text) => `${signal}: ${text}`),
    );
    return {
      kind: 'SUSPECT',
      signals: [...facts.signals.keys()],
      reasons: [...reasons, ...drainReasons],
    };
  }
  if (facts.drain !== undefined)
    return { kind: 'DRAINING', by: facts.drain.by, reasons: drainReasons };
  return { kind: facts.beaten ? 'ONLINE' : 'JOINING', reasons: [] };
}

export function sameState(a: NodeState, b: NodeState): boolean {
  return (
    a.kind === b.kind &&
    a.reasons.length === b.reasons.length &&
    a.reasons.every((reason, i) => reason === b.reasons[i])
  );
}
