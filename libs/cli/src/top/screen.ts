import { clipped, printable, visibleLength } from '../render/style';
import type { Style } from '../render/style';
import type { Flow, ModelRow, NodeRow, Slots, TopView } from './types';

interface ScreenSize {
  readonly columns: number;
  /** Lines that there are; Infinity for all of them. */
  readonly rows: number;
}

export interface ScreenOptions extends ScreenSize {
  readonly style: Style;
  /** A line at the top: what cannot be had at the moment; undefined where all is well. */
  readonly trouble?: string | undefined;
  /** Shown at the right of the first line: `q quits`. */
  readonly hint?: string;
}

/** Rows of a table that are shown however little room there is. */
const FEWEST_ROWS = 3;

/** Lines of at most `columns` characters, and no more of them than there are rows. */
export function screenLines(view: TopView, options: ScreenOptions): string[] {
  const { columns, rows, style, trouble } = options;
  const head = [
    ...(trouble === undefined ? [] : [style.red(clipped(`! ${printable(trouble)}`, columns))]),
    ...headLines(view, options),
  ];
  // A blank line and a title for each of the two tables.
  const room = Math.max(2 * FEWEST_ROWS, rows - head.length - 4);
  // Two thirds are for nodes, if there are so many.
  const share = Math.min(view.nodes.length, Math.max(FEWEST_ROWS, Math.floor((room * 2) / 3)));
  const models = Math.min(view.models.length, room - share);
  const nodes = room - models;
  const lines = [
    ...head,
    '',
    ...tableLines(MODEL_TITLES, view.models, modelCells, models, 'models', options),
    '',
    ...tableLines(NODE_TITLES, view.nodes, (row) => nodeCells(row, style), nodes, 'nodes', options),
  ];
  return lines.slice(0, rows);
}

function headLines(view: TopView, { columns, style, hint = '' }: ScreenOptions): string[] {
  const { sessions, flow, silent } = view;
  const states = Object.entries(view.nodes_by_state)
    .sort()
    .map(([state, count]) => `${count} ${state}`)
    .join(', ');
  const title = clipped(`cabstand ${view.routers.join(' ')}`, columns - 22);
  const right = `${view.time.slice(11, 19)} UTC  ${hint}`.trimEnd();
  const lines = [
    `${style.bold(title)}${' '.repeat(Math.max(2, columns - title.length - right.length))}${style.dim(right)}`,
    `nodes     ${view.nodes.length}${states === '' ? '' : `: ${states}`}`,
    `sessions  ${sessions.open}: ${sessions.running} running, ${sessions.idle} idle; slots ${slotText(sessions)} free, ${sessions.waiting} waiting`,
    ...(flow === null
      ? [style.dim('no metrics: --metrics HOST:PORT adds throughput, latency and failovers')]
      : flowLines(flow)),
  ];
  if (silent.length > 0)
    lines.push(
      style.yellow(
        clipped(
          `no metrics of ${silent.length}: ${silent[0]?.url ?? ''} (${silent[0]?.error ?? ''})${silent.length > 1 ? ', …' : ''}`,
          columns,
        ),
      ),
    );
  return lines.map((line) => clipped(line, columns));
}

function flowLines(flow: Flow): string[] {
  const handouts = Object.entries(flow.handouts_per_second ?? {})
    .filter(([result, rate]) => result === 'ok' || rate > 0)
    .map(([result, rate]) => `${perSecond(rate)} ${result}`)
    .join(', ');
  const causes = Object.entries(flow.failovers_total)
    .filter(([, count]) => count > 0)
    .map(([cause, count]) => `${count} ${cause}`)
    .join(', ');
  return [
    `flow      ${perSecond(flow.records_per_second)} records; first chunk p50 ${ms(flow.first_chunk_p50_ms)}, p99 ${ms(flow.first_chunk_p99_ms)}`,
    `handouts  ${handouts === '' ? '-' : handouts}; ${flow.reservations} reserved`,
    `failovers ${flow.failovers === null ? '-' : `${Math.round(flow.failovers)} in ${Math.round(flow.window_seconds)} s`}${causes === '' ? '' : `, ${causes}`}; ${flow.sessions_lost_total} sessions lost, ${flow.engine_deaths_total} engines died`,
  ];
}

const MODEL_TITLES = ['MODEL', 'NODES', 'RUN', 'FREE/SLOTS', 'WAIT', 'STEP', 'REC/S', 'P50', 'P99'];

function modelCells(row: ModelRow): string[] {
  const troubles = [
    ...(row.failed === 0 ? [] : [`${row.failed} failed`]),
    ...(row.changing === 0 ? [] : [`${row.changing} changing`]),
  ];
  return [
    printable(row.model),
    [String(row.nodes), ...troubles].join(', '),
    String(row.running),
    slotText(row),
    String(row.waiting),
    ms(row.step_ms),
    row.records_per_second === null ? '-' : shortNumber(row.records_per_second),
    ms(row.first_chunk_p50_ms),
    ms(row.first_chunk_p99_ms),
  ];
}

const NODE_TITLES = [
  'NODE',
  'STATE',
  'RUN',
  'IDLE',
  'FREE/SLOTS',
  'LAG',
  'BEAT',
  'MODELS, REASONS',
];

function nodeCells(row: NodeRow, style: Style): string[] {
  const remarks = [
    ...(row.banned_until === null ? [] : [`banned until ${row.banned_until.slice(11, 19)}`]),
    ...row.reasons,
    ...row.other_models,
    ...row.models,
  ];
  return [
    printable(row.node),
    stateText(row.state, style),
    String(row.running),
    String(row.idle),
    slotText(row),
    ms(row.lag_ms),
    printable(remarks.join(', ')),
  ];
}

function stateText(state: string, style: Style): string {
  if (state === 'ONLINE') return style.green(state);
  return state === 'OFFLINE' ? style.red(state) : style.yellow(state);
}

/** Names are cut at this many characters, so that the numbers beside them stay. */
const LONGEST_NAME = 18;

/** The table's title and rows, and how many more there are; the last column gets what is left of the line. */
function tableLines<T>(
  titles: readonly string[],
  rows: readonly T[],
  cellsOf: (row: T) => readonly string[],
  most: number,
  what: string,
  { columns, style }: ScreenOptions,
): string[] {
  const more = rows.length - most;
  // The line that says so takes the place of a row.
  const shown = more > 0 ? rows.slice(0, most - 1) : rows;
  const cells = shown.map((row) => {
    const [name = '', ...rest] = cellsOf(row);
    return [clipped(name, LONGEST_NAME), ...rest];
  });
  const widths = titles.map((title, i) =>
    Math.max(title.length, ...cells.map((row) => visibleLength(row[i] ?? ''))),
  );
  const line = (row: readonly string[], paint = (text: string) => text): string => {
    let text = '';
    let length = 0;
    row.forEach((cell, i) => {
      const gap = i === 0 ? 0 : 1;
      const room = columns - length - gap;
      if (room <= 0) return;
      const last = i === row.length - 1;
      const kept = clipped(cell, room);
      const pad = last ? 0 : Math.min(room, widths[i] ?? 0) - visibleLength(kept);
      text += ' '.repeat(gap) + kept + ' '.repeat(Math.max(0, pad));
      length += gap + visibleLength(kept) + Math.max(0, pad);
    });
    return paint(text.trimEnd());
  };
  return [
    line(titles, (text) => style.dim(text)),
    ...cells.map((row) => line(row)),
    ...(more > 0 ? [style.dim(`… and ${rows.length - shown.length} more ${what}`)] : []),
  ];
}

function slotText({ free, kept, slots }: Slots): string {
  return `${free}${kept === 0 ? '' : `+${kept}`}/${slots}`;
}

function ms(value: number | null): string {
  if (value === null) return '-';
  if (value >= 1000) return `${(value / 1000).toFixed(1)}s`;
  return `${value >= 10 ? Math.round(value) : value.toFixed(1)}ms`;
}

function perSecond(rate: number | null): string {
  return rate === null ? '-' : `${shortNumber(rate)}/s`;
}

/** `950`, `12.3k`, `0.4`. */
function shortNumber(value: number): string {
  if (value >= 1e6) return `${(value / 1e6).toFixed(1)}M`;
  if (value >= 10_000) return `${(value / 1000).toFixed(1)}k`;
  return value >= 10 || value === 0 ? String(Math.round(value)) : value.toFixed(1);
}
