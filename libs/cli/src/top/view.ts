import type { v1 } from '@cabstand/rpc';
import type { Gains } from './rates';
import type { Scraped } from './scrape';
import type { Flow, ModelRow, NodeRow, Slots, TopView } from './types';

type Node = v1.NodeInfo__Output;

export interface Seen {
  readonly routers: readonly string[];
  readonly nodes: readonly Node[];
  readonly scrapes: readonly Scraped[];
  readonly gains: Gains;
  readonly nowMs: number;
}

/** One for all: to make one for each comparison takes seconds where there are thousands of nodes. */
const byName = new Intl.Collator('en', { numeric: true });

/** What there is to say of a subnet, the most urgent rows first. */
export function topView(seen: Seen): TopView {
  const { nodes, scrapes, gains, nowMs } = seen;
  const rows = nodes.map((node) => nodeRow(node, nowMs)).sort(byUrgency);
  const byState: Record<string, number> = {};
  for (const { state } of rows) byState[state] = (byState[state] ?? 0) + 1;
  const here = rows.filter(({ state }) => state !== 'OFFLINE');
  const open = sum(here.map((row) => row.open));
  const idle = sum(here.map((row) => row.idle));
  return {
    time: new Date(nowMs).toISOString(),
    routers: seen.routers,
    nodes_by_state: byState,
    sessions: {
      ...here.reduce(add, nothing()),
      ...exactly(gains, here.length, { open, idle }),
    },
    flow: scrapes.some(({ kind }) => kind === 'ok') ? flow(gains) : null,
    silent: scrapes.flatMap((each) =>
      each.kind === 'failed' ? [{ url: each.url, error: each.error }] : [],
    ),
    models: modelRows(nodes, gains),
    nodes: rows,
  };
}

function nodeRow(node: Node, nowMs: number): NodeRow {
  const state = node.state.replace('NODE_STATE_', '');
  const open = state === 'OFFLINE' ? 0 : (node.load?.open_sessions ?? 0);
  const all = servedBy(node)
    .map(({ slots }) => slots)
    .reduce(add, nothing());
  const running = Math.min(open, all.running);
  const beat = msOf(node.last_heartbeat);
  const banned = msOf(node.banned_until);
  return {
    ...all,
    node: node.node_id,
    address: node.address,
    state,
    reasons: node.state_reasons,
    version: node.version,
    open,
    running,
    idle: open - running,
    lag_ms: (node.load?.event_loop_lag_seconds ?? 0) * 1000,
    heartbeat_ms: beat === null ? null : Math.max(0, nowMs - beat),
    banned_until: banned === null || banned <= nowMs ? null : new Date(banned).toISOString(),
    models: node.models.map(({ name }) => name),
    other_models: node.other_models.map(({ name, state: of }) => `${name}: ${stateOf(of)}`),
  };
}

/** What a node has told of each model that it hands out. */
function servedBy(node: Node) {
  const loads = new Map(node.load?.models.map((load) => [load.model, load]));
  return node.models.map((offer) => {
    const load = loads.get(offer.name);
    return { offer, load, slots: slotsOf(node, offer.capacity, load) };
  });
}

function slotsOf(node: Node, slots: number, load: v1.ModelLoad__Output | undefined): Slots {
  const [free, kept] = [load?.free_slots ?? 0, load?.resume_slots ?? 0];
  // Who has told of no load, or takes no sessions, does not say how many of its slots are taken.
  const told = load !== undefined && node.state !== 'NODE_STATE_DRAINING';
  const running = told ? Math.max(0, slots - free - kept) : (node.load?.open_sessions ?? 0);
  return { running, free, kept, slots, waiting: load?.queue_depth ?? 0 };
}

/** As the hosters themselves count, where the metrics of all of them are at hand. */
function exactly(
  gains: Gains,
  hosters: number,
  told: { readonly open: number; readonly idle: number },
): { readonly open: number; readonly idle: number; readonly running: number } {
  const all = hosters > 0 && gains.services('cabstand_open_sessions') === hosters;
  const open = all ? (gains.latest('cabstand_open_sessions') ?? 0) : told.open;
  const idle = all ? (gains.latest('cabstand_idle_sessions') ?? 0) : told.idle;
  return { open, idle, running: Math.max(0, open - idle) };
}

/** A model while its nodes are added up. */
interface Counted {
  readonly slots: Sums;
  nodes: number;
  failed: number;
  changing: number;
  /** Of the steps whose time is known. */
  stepMs: number;
  steps: number;
}

function modelRows(nodes: readonly Node[], gains: Gains): ModelRow[] {
  const models = new Map<string, Counted>();
  const of = (name: string): Counted => {
    const known = models.get(name);
    const counted = known ?? {
      slots: nothing(),
      nodes: 0,
      failed: 0,
      changing: 0,
      stepMs: 0,
      steps: 0,
    };
    if (known === undefined) models.set(name, counted);
    return counted;
  };
  for (const node of nodes) {
    if (node.state === 'NODE_STATE_OFFLINE') continue;
    for (const { offer, load, slots } of servedBy(node)) {
      const counted = of(offer.name);
      add(counted.slots, slots);
      counted.nodes += 1;
      if (load === undefined || load.step_seconds <= 0) continue;
      counted.stepMs += load.step_seconds * 1000;
      counted.steps += 1;
    }
    for (const { name, state } of node.other_models)
      of(name)[stateOf(state) === 'failed' ? 'failed' : 'changing'] += 1;
  }
  return [...models]
    .map(([model, { slots, nodes: count, failed, changing, stepMs, steps }]) => ({
      ...slots,
      ...{ model, nodes: count, failed, changing },
      step_ms: steps === 0 ? null : stepMs / steps,
      ...latency(gains, { model }),
      records_per_second: gains.known ? gains.rate('cabstand_records_total', { model }) : null,
    }))
    .sort(
      (a, b) => b.failed - a.failed || b.running - a.running || byName.compare(a.model, b.model),
    );
}

function flow(gains: Gains): Flow {
  const by = (name: string, label: string, of: (labels: Record<string, string>) => number) =>
    Object.fromEntries(gains.values(name, label).map((value) => [value, of({ [label]: value })]));
  const handouts = 'cabstand_handouts_total';
  const resumes = 'cabstand_resumes_total';
  return {
    window_seconds: gains.seconds,
    ...latency(gains, {}),
    records_per_second: gains.known ? gains.rate('cabstand_records_total') : null,
    handouts_per_second: gains.known
      ? by(handouts, 'result', (labels) => gains.rate(handouts, labels))
      : null,
    handouts_total: by(handouts, 'result', (labels) => gains.latest(handouts, labels) ?? 0),
    reservations: gains.latest('cabstand_reservations') ?? 0,
    failovers: gains.known ? gains.gain(resumes) : null,
    failovers_total: by(resumes, 'cause', (labels) => gains.latest(resumes, labels) ?? 0),
    sessions_lost_total: gains.latest('cabstand_sessions_ended_total', { reason: 'lost' }) ?? 0,
    engine_deaths_total: gains.latest('cabstand_engine_deaths_total') ?? 0,
  };
}

function latency(gains: Gains, labels: Readonly<Record<string, string>>) {
  const ms = (share: number): number | null => {
    const seconds = gains.quantile(share, 'cabstand_first_chunk_seconds', labels);
    return seconds === null ? null : seconds * 1000;
  };
  return { first_chunk_p50_ms: ms(0.5), first_chunk_p99_ms: ms(0.99) };
}

/** Nodes that need somebody first, then the busiest, and last those that said goodbye. */
function byUrgency(a: NodeRow, b: NodeRow): number {
  return urgency(a) - urgency(b) || b.open - a.open || byName.compare(a.node, b.node);
}

function urgency({ state, banned_until: banned, reasons, other_models: others }: NodeRow): number {
  if (state === 'OFFLINE') return reasons.some((it) => it.startsWith('deregistered')) ? 5 : 1;
  if (state === 'SUSPECT' || banned !== null) return 0;
  if (state !== 'ONLINE') return 2;
  return others.some((it) => it.endsWith(': failed')) ? 3 : 4;
}

type Sums = { -readonly [key in keyof Slots]: Slots[key] };

function nothing(): Sums {
  return { running: 0, free: 0, kept: 0, slots: 0, waiting: 0 };
}

/** In place: there may be a million of them. */
function add(sums: Sums, slots: Slots): Sums {
  sums.running += slots.running;
  sums.free += slots.free;
  sums.kept += slots.kept;
  sums.slots += slots.slots;
  sums.waiting += slots.waiting;
  return sums;
}

function stateOf(state: string): string {
  return state.replace('MODEL_STATE_', '').toLowerCase();
}

function msOf(at: { readonly seconds: number; readonly nanos: number } | null): number | null {
  return at === null ? null : at.seconds * 1000 + at.nanos / 1e6;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, one) => total + one, 0);
}
