import { breathe } from '@cabstand/core';
import type { RouterCore } from '../core';
import type { Node } from '../registry/node';
import type { Gateways } from './gateways';
import type { Happenings } from './happenings';
import { ModelTable } from './models';
import { Ranking, addSlots, noSlots, nodeRow, slotsOf } from './rows';
import type { NodePage, Point, Snapshot, Totals } from './view';

/** Rows of nodes in a snapshot, and on a page of nodes. */
export const ROWS = 50;
const MODELS = 50;
const HAPPENINGS = 50;
const GATEWAYS = 50;
/** Nodes that are looked at in one turn of the event loop: some 1 ms of work. */
const WALKED_A_TURN = 250;
/** Longer ago, and a rate says nothing of now. */
const MEMORY_MS = 15_000;

export interface SnapshotParts {
  readonly core: RouterCore;
  readonly happenings: Happenings;
  readonly gateways: Gateways;
}

/** A subnet at one moment. */
export interface Moment {
  readonly point: Point;
  /** How long it was worked on, in milliseconds; not how long it took beside everything else. */
  readonly workMs: number;
  /** All nodes, as they are shown. */
  readonly nodes: readonly Node[];
  /** Of the snapshot, without and with what only administrators are told. JSON, made when first asked for. */
  text(detailed: boolean): string;
}

/** Makes snapshots. One costs a walk over all nodes; its size has a bound, however many there are. */
export class Snapshots {
  readonly #parts: SnapshotParts;
  #before: { readonly at: number; readonly totals: Totals } | undefined;

  constructor(parts: SnapshotParts) {
    this.#parts = parts;
  }

  async make(): Promise<Moment> {
    const { core, happenings, gateways } = this.#parts;
    const ranking = new Ranking();
    const models = new ModelTable();
    const sum = noSlots();
    let open = 0;
    let lag = 0;
    const { clock } = core.settings;
    let workMs = 0;
    let since = clock.monotonic();
    let walked = 0;
    for (const node of core.nodes.values()) {
      // Hand-outs and heartbeats do not wait for it.
      if (++walked % WALKED_A_TURN === 0) {
        workMs += clock.monotonic() - since;
        await breathe();
        since = clock.monotonic();
      }
      ranking.add(node);
      models.add(node);
      if (node.state.kind === 'OFFLINE') continue;
      for (const slot of node.slots.values()) addSlots(sum, slotsOf(slot));
      open += node.load.openSessions;
      lag = Math.max(lag, node.load.eventLoopLagSeconds);
    }
    const { nodes } = ranking;
    const now = clock.now();
    const { totals } = happenings;
    const point: Point = {
      at: now,
      running: Math.min(open, sum.running),
      waiting: sum.waiting,
      ...this.#rates(totals),
      ...models.pace,
      lagMs: Math.round(lag * 1e5) / 100,
    };
    const { nodes: byState, banned } = core.sizes();
    const make = (detailed: boolean): Snapshot => ({
      point,
      nodes: { known: nodes.length, byState, banned },
      sessions: { ...sum, running: point.running, open },
      totals,
      rows: nodes.slice(0, ROWS).map((node) => nodeRow(node, { now, detailed })),
      models: models.rows(MODELS),
      modelsKnown: models.size,
      happenings: happenings.newest(HAPPENINGS),
      gatewaysKnown: gateways.known,
      gateways: detailed ? gateways.list(GATEWAYS) : null,
    });
    const texts = new Map<boolean, string>();
    return {
      point,
      workMs: workMs + clock.monotonic() - since,
      nodes,
      text: (detailed) => {
        const text = texts.get(detailed) ?? JSON.stringify(make(detailed));
        texts.set(detailed, text);
        return text;
      },
    };
  }

  #rates(totals: Totals): Pick<Point, 'handOutsPerSecond' | 'refusedPerSecond' | 'movedPerSecond'> {
    const at = this.#parts.core.settings.clock.monotonic();
    const before = this.#before;
    this.#before = { at, totals };
    const seconds = before === undefined ? 0 : (at - before.at) / 1000;
    if (before === undefined || seconds <= 0 || seconds > MEMORY_MS / 1000)
      return { handOutsPerSecond: null, refusedPerSecond: null, movedPerSecond: null };
    const given = (of: Totals): number => of.handOuts.ok ?? 0;
    const asked = (of: Totals): number => Object.values(of.handOuts).reduce((a, b) => a + b, 0);
    const rate = (of: (totals: Totals) => number): number =>
      Math.round(((of(totals) - of(before.totals)) / seconds) * 100) / 100;
    return {
      handOutsPerSecond: rate(given),
      refusedPerSecond: rate((of) => asked(of) - given(of)),
      movedPerSecond: rate(({ moved }) => moved),
    };
  }
}

/** Some of the nodes whose name or address has the text in it, from the `from`th on. */
export function nodePage(
  { nodes }: Moment,
  wanted: { readonly find: string; readonly from: number },
  options: { readonly now: number; readonly detailed: boolean },
): NodePage {
  const { find, from } = wanted;
  const found =
    find === ''
      ? nodes
      : nodes.filter(({ id, address }) => id.includes(find) || address.includes(find));
  return {
    from,
    found: found.length,
    rows: found.slice(from, from + ROWS).map((node) => nodeRow(node, options)),
  };
}
