import type { NodeStateKind } from '../health/state';
import type { Node, Slot } from '../registry/node';
import { clip } from '../registry/validate';
import type { NodeRow, Slots } from './view';

const MODELS_SHOWN = 8;
const REASONS_SHOWN = 3;
const LONGEST_REASON = 200;

/** What needs somebody comes first. */
const URGENCY: Readonly<Record<NodeStateKind, number>> = {
  SUSPECT: 0,
  OFFLINE: 2,
  DRAINING: 3,
  JOINING: 4,
  ONLINE: 5,
};
const BANNED = 1;
/** More nodes alike are not sorted by name, which takes long, but stand in the order in which they joined. */
const SORTED = 1000;

/** Nodes in the order in which they are shown: by urgency, then by name, so that rows stay where they are. */
export class Ranking {
  readonly #ranks: Node[][] = Array.from({ length: 6 }, () => []);

  add(node: Node): void {
    const { state, bannedUntil } = node;
    const own = URGENCY[state.kind];
    const isBanned = bannedUntil !== undefined && state.kind !== 'OFFLINE';
    this.#ranks[isBanned ? Math.min(own, BANNED) : own]?.push(node);
  }

  get nodes(): readonly Node[] {
    return this.#ranks.flatMap((nodes) =>
      nodes.length > SORTED ? nodes : nodes.sort((a, b) => (a.id < b.id ? -1 : 1)),
    );
  }
}

export interface RowOptions {
  /** Wall clock. */
  readonly now: number;
  /** With what only administrators are told. */
  readonly detailed: boolean;
}

/** At most some 2.5 KB, whatever a hoster says of itself. */
export function nodeRow(node: Node, { now, detailed }: RowOptions): NodeRow {
  const { state, load, lastHeartbeat, bannedUntil } = node;
  const names = [...node.slots.keys()];
  const sum = noSlots();
  for (const slot of node.slots.values()) addSlots(sum, slotsOf(slot));
  const open = state.kind === 'OFFLINE' ? 0 : load.openSessions;
  const { met } = node.facts;
  const reasons = [
    ...(detailed && met !== undefined && isProbed(node) ? [`the last probe met: ${met}`] : []),
    ...state.reasons,
  ];
  return {
    ...sum,
    running: Math.min(sum.running, open),
    id: node.id,
    address: node.address,
    state: state.kind,
    reasons: reasons.slice(0, REASONS_SHOWN).map((reason) => clip(reason, LONGEST_REASON)),
    version: node.version,
    open,
    lagMs: Math.round(load.eventLoopLagSeconds * 1e5) / 100,
    beatMs: lastHeartbeat === undefined ? null : Math.max(0, now - lastHeartbeat),
    bannedMs: bannedUntil === undefined ? null : Math.max(0, bannedUntil - now),
    models: names.slice(0, MODELS_SHOWN),
    moreModels: Math.max(0, names.length - MODELS_SHOWN),
    drains: node.facts.drain?.by === 'admin',
  };
}

/** As `toNodeDetail` of the watch has it. */
function isProbed({ state }: Node): boolean {
  return (
    (state.kind === 'SUSPECT' && state.signals.includes('probe')) ||
    (state.kind === 'OFFLINE' && state.cause === 'unreachable')
  );
}

/**
 * What a node that is not ONLINE has free nobody gets. One that drains may tell of no free slots: no more sessions
 * run there than are open.
 */
export function slotsOf({ node, capacity, free, kept, queueDepth }: Slot): Slots {
  const { kind } = node.state;
  if (kind === 'OFFLINE') return noSlots();
  const running = Math.min(node.load.openSessions, Math.max(0, capacity - free - kept));
  const takes = kind === 'ONLINE';
  return {
    running,
    free: takes ? free : 0,
    kept: takes ? kept : 0,
    slots: capacity,
    waiting: queueDepth,
  };
}

export type Sums = { -readonly [Name in keyof Slots]: Slots[Name] };

export function noSlots(): Sums {
  return { running: 0, free: 0, kept: 0, slots: 0, waiting: 0 };
}

export function addSlots(sum: Sums, slots: Slots): void {
  sum.running += slots.running;
  sum.free += slots.free;
  sum.kept += slots.kept;
  sum.slots += slots.slots;
  sum.waiting += slots.waiting;
}
