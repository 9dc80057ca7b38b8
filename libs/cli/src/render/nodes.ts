import type { v1 } from '@cabstand/rpc';
import { batchClass, referenceOf } from './info';
import { printable } from './style';
import type { Style } from './style';
import { table } from './table';
import { duration } from './units';

type Node = v1.NodeInfo__Output;

/** Nodes as a table; a row for each model. */
export function nodesTable(nodes: readonly Node[], style: Style, nowMs: number): string {
  const head = [
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
  ];
  const rows = [...nodes]
    .sort((a, b) => a.node_id.localeCompare(b.node_id, 'en', { numeric: true }))
    .flatMap((node) => nodeRows(node, style, nowMs));
  return table([head.map((title) => style.dim(title)), ...rows]);
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
