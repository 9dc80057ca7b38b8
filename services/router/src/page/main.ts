/** The console's page: signs in, follows the router, and shows what it says. */
import type { Hello, ModelRow, Snapshot } from '../console/view.js';
import { Charts } from './charts.js';
import { byId, clockTime, make, milliseconds, number, setClass, setText } from './dom.js';
import { Nodes } from './nodes.js';
import { token, watch } from './router.js';
import { SessionSearch } from './sessions.js';
import { Rows } from './table.js';
import type { Cell } from './table.js';

/** Longer without news, and what is shown is of before. */
const STALE_MS = 10_000;

const charts = new Charts(byId('charts'));
const nodes = new Nodes();
const sessions = new SessionSearch();
const models = new Rows(byId('models'));
let following: AbortController | undefined;
let who = '';
let heardAt = 0;
let newest = 0;

function follow(): void {
  following?.abort();
  following = new AbortController();
  newest = 0;
  byId('happenings').replaceChildren();
  void watch({ hello, snapshot, lost, refused }, following.signal);
}

function hello({ principal, admin, history, rowsPerPage }: Hello): void {
  who = `${principal}${admin ? ', who may drain' : ''}`;
  byId('login').hidden = true;
  byId('subnet').hidden = false;
  byId('leave').hidden = token.value === '';
  charts.begin(history);
  nodes.begin(admin, rowsPerPage);
  sessions.begin(admin);
}

function snapshot(now: Snapshot): void {
  heardAt = Date.now();
  connection(`live, as ${who}`, 'good');
  charts.add(now.point);
  tiles(now);
  nodes.update(now.rows, now.nodes.known);
  models.show(now.models, ({ name }) => name, modelCells);
  const shown = now.models.length < now.modelsKnown ? `${number(now.models.length)} of ` : '';
  setText(byId('models-caption'), `${shown}${number(now.modelsKnown)} models`);
  setText(byId('gateways'), gatewaysText(now));
  happenings(now);
}

function lost(why: string): void {
  connection(`${why}; what is shown is of before`, 'bad');
}

function refused(why: string): void {
  const first = token.value === '';
  token.value = '';
  byId('subnet').hidden = true;
  byId('leave').hidden = true;
  byId('login').hidden = false;
  setText(byId('login-why'), first ? '' : `The router refuses: ${why}`);
  connection(first ? 'not signed in' : 'refused', first ? '' : 'bad');
  byId('token').focus();
}

function connection(text: string, tone: string): void {
  setText(byId('connection'), text);
  setClass(byId('connection'), tone);
}

function tiles({ nodes: known, sessions, totals, point }: Snapshot): void {
  const states = Object.entries(known.byState).filter(([, count]) => count > 0);
  const values: readonly (readonly [string, string])[] = [
    ...states.map(([state, count]) => [`Nodes ${state}`, number(count)] as const),
    ['Nodes banned', number(known.banned)],
    ['Sessions open', number(sessions.open)],
    ['Sessions that run', number(sessions.running)],
    ['Sessions that wait', number(sessions.waiting)],
    ['Free slots', number(sessions.free)],
    ['Records a second', number(point.recordsPerSecond)],
    ['Hand-outs a second', number(point.handOutsPerSecond)],
    ['Hand-outs', number(totals.handOuts.ok ?? 0)],
    ['Sessions that moved', number(totals.moved)],
    ['Bans', number(totals.bans)],
    ['Reports', number(totals.reports)],
  ];
  const place = byId('tiles');
  const labels = values.map(([label]) => label).join('\n');
  if (place.dataset.labels !== labels) {
    place.dataset.labels = labels;
    place.replaceChildren(
      ...values.map(([label]) => make('div', {}, make('dt', {}, label), make('dd', {}))),
    );
  }
  place.querySelectorAll('dd').forEach((value, i) => setText(value, values[i]?.[1] ?? ''));
}

function modelCells(row: ModelRow): readonly Cell[] {
  const trouble = [
    ...(row.failed > 0 ? [`failed on ${number(row.failed)}`] : []),
    ...(row.loading > 0 ? [`loading on ${number(row.loading)}`] : []),
  ].join(', ');
  return [
    { text: row.name, small: [...row.versions, ...row.kinds].join(', ') },
    { text: words(row.classes) },
    { text: words(row.providers) },
    { text: words(row.references) },
    { text: number(row.nodes), small: trouble, tone: row.failed > 0 ? 'bad' : '' },
    { text: number(row.running) },
    { text: number(row.free) },
    { text: number(row.waiting) },
    { text: number(row.recordsPerSecond) },
    { text: milliseconds(row.firstChunkMs) },
    { text: milliseconds(row.stepMs) },
  ];
}

function words(list: readonly string[]): string {
  return list.length === 0 ? '–' : list.join(', ');
}

function gatewaysText({ gateways, gatewaysKnown }: Snapshot): string {
  const count = `${number(gatewaysKnown)} ${gatewaysKnown === 1 ? 'gateway follows' : 'gateways follow'} the nodes`;
  if (gateways === null || gateways.length === 0) return count;
  return `${count}: ${gateways.map(({ principal }) => principal).join(', ')}`;
}

/** New ones are put in front; what is there already stays, so that it can be read and selected. */
function happenings({ happenings: all }: Snapshot): void {
  const list = byId('happenings');
  const fresh = all.filter((each) => each.number > newest);
  newest = all[0]?.number ?? newest;
  list.prepend(
    ...fresh.map(({ number: own, at, bad, text }) =>
      make(
        'li',
        { 'data-number': String(own) },
        make('time', { datetime: new Date(at).toISOString() }, clockTime(at)),
        make('span', bad ? { class: 'bad' } : {}, text),
      ),
    ),
  );
  // Moves that are told together take the place of the line before.
  const kept = new Set(all.map((each) => String(each.number)));
  for (const item of [...list.children])
    if (item instanceof HTMLElement && !kept.has(item.dataset.number ?? '')) item.remove();
}

byId('login').addEventListener('submit', (event) => {
  event.preventDefault();
  const input = byId('token', HTMLInputElement);
  token.value = input.value.trim();
  input.value = '';
  follow();
});
byId('leave').addEventListener('click', () => {
  following?.abort();
  token.value = '';
  refused('');
});
setInterval(() => {
  if (heardAt > 0 && Date.now() - heardAt > STALE_MS && !byId('subnet').hidden)
    lost('nothing heard of the router');
}, STALE_MS / 2);
follow();
