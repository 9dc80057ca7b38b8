import type { v1 } from '@cabstand/rpc';
import { batchClass, referenceOf } from './info';
import { clipped, printable, visibleLength } from './style';
import type { Style } from './style';
import { table } from './table';
import { duration } from './units';

type Node = v1.NodeInfo__Output;

const COLUMNS = [
  'NODE',
  'STATE',
  'ADDRESS',
  'MODEL',
  'ON',
  'BATCHING',
  'REFERENCE',
  'FREE',
  'SESSIONS',
  'HEARTBEAT',
  'REASONS',
] as const;

type Column = (typeof COLUMNS)[number];

/** What a narrow terminal goes without, the first first. */
const DISPENSABLE: readonly Column[] = [
  'REFERENCE',
  'BATCHING',
  'ON',
  'HEARTBEAT',
  'SESSIONS',
  'ADDRESS',
  'REASONS',
];
/** One for all: making one takes long. */
const byName = new Intl.Collator('en', { numeric: true });
const GAP = 2;
/** Cells of these columns are cut where it is narrow, though never shorter than this. */
const LEAST = { MODEL: 8, REASONS: 16 } as const;

/** Nodes as a table, a row for each model; in `width` characters, as far as that goes. */
export function nodesTable(
  nodes: readonly Node[],
  style: Style,
  nowMs: number,
  width = Infinity,
): string {
  const rows = [...nodes]
    .sort((a, b) => byName.compare(a.node_id, b.node_id))
    .flatMap((node) => nodeRows(node, style, nowMs));
  const widths = new Map(
    COLUMNS.map((title, i) => [
      title,
      Math.max(title.length, ...rows.map((row) => visibleLength(row[i] ?? ''))),
    ]),
  );
  const shown = new Set<Column>(COLUMNS);
  const total = (): number =>
    [...shown].reduce((sum, title) => sum + (widths.get(title) ?? 0) + GAP, -GAP);
  const excess = (): number => Math.max(0, total() - width);
  const shrink = (title: keyof typeof LEAST): void => {
    const least = Math.min(widths.get(title) ?? 0, LEAST[title]);
    if (shown.has(title)) widths.set(title, Math.max(least, (widths.get(title) ?? 0) - excess()));
  };
  if (rows.every((row) => row.at(-1) === '') && excess() > 0) shown.delete('REASONS');
  shrink('REASONS');
  for (const title of DISPENSABLE) if (excess() > 0) shown.delete(title);
  shrink('MODEL');
  const kept = (row: readonly string[]): string[] =>
    COLUMNS.flatMap((title, i) =>
      shown.has(title) ? [clipped(row[i] ?? '', widths.get(title) ?? 0)] : [],
    );
  return table([kept(COLUMNS).map((title) => style.dim(title)), ...rows.map(kept)]);
}

function nodeRows(node: Node, style: Style, nowMs: number): string[][] {
  const models = [
    ...node.models.map((model) => servingColumns(node, model)),
    ...node.other_models.map((model) => otherColumns(model, style)),
  ];
  if (models.length === 0) models.push(['-', '', '', '', '']);
  return models.map((columns, i) => {
    const first = i === 0;
    return [
      first ? printable(node.node_id) : '',
      first ? stateText(node, style) : '',
      first ? printable(node.address) : '',
      ...columns,
      first ? String(node.load?.open_sessions ?? 0) : '',
      first ? heartbeat(node, nowMs) : '',
      first ? node.state_reasons.map(printable).join(', ') : '',
    ];
  });
}

/** MODEL to FREE of a model that takes sessions. */
function servingColumns({ load }: Node, model: v1.ModelOffer__Output): string[] {
  return [
    nameOf(model),
    printable(model.provider),
    batchClass(model),
    referenceOf(model),
    slots(
      load?.models.find((entry) => entry.model === model.name),
      model.capacity,
    ),
  ];
}

/** The same of one that takes none: FREE says why. */
function otherColumns(model: v1.ModelCondition__Output, style: Style): string[] {
  const state = model.state.replace('MODEL_STATE_', '').toLowerCase();
  return [nameOf(model), '', '', '', state === 'failed' ? style.red(state) : style.yellow(state)];
}

function nameOf({ name, version }: { readonly name: string; readonly version: string }): string {
  return version === '' ? printable(name) : `${printable(name)} v${printable(version)}`;
}

/** Free for new sessions, `+` what is kept for sessions that go on from elsewhere, of how many. */
function slots(load: v1.ModelLoad__Output | undefined, capacity: number): string {
  const kept = load === undefined || load.resume_slots === 0 ? '' : `+${load.resume_slots}`;
  return `${load?.free_slots ?? '?'}${kept}/${capacity}`;
}

function stateText({ state }: Node, style: Style): string {
  const name = state.replace('NODE_STATE_', '');
  if (name === 'ONLINE') return style.green(name);
  return name === 'OFFLINE' ? style.red(name) : style.yellow(name);
}

function heartbeat(node: Node, nowMs: number): string {
  const at = node.last_heartbeat;
  if (at === null) return '-';
  const ms = at.seconds * 1000 + at.nanos / 1e6;
  return `${duration(Math.max(0, nowMs - ms))} ago`;
}
