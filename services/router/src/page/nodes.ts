import type { NodePage, NodeRow } from '../console/view.js';
import { byId, make, milliseconds, number, setText } from './dom.js';
import { drain, nodePage } from './router.js';
import { Rows } from './table.js';
import type { Cell } from './table.js';

const AGAIN_MS = 2000;

/** The table of nodes: those of the snapshot, or what was looked for, a page at a time. */
export class Nodes {
  readonly #rows = new Rows(byId('nodes'));
  readonly #text = byId('find-text', HTMLInputElement);
  readonly #dialog = byId('ask', HTMLDialogElement);
  #admin = false;
  #perPage = 1;
  #find = '';
  #from = 0;
  #asked: { readonly id: string; readonly button: HTMLElement } | undefined;
  #looking: AbortController | undefined;
  #lookedAt = 0;

  constructor() {
    byId('find').addEventListener('submit', (event) => {
      event.preventDefault();
      this.#find = this.#text.value.trim();
      this.#go(0);
    });
    byId('back').addEventListener('click', () => this.#go(this.#from - this.#perPage));
    byId('on').addEventListener('click', () => this.#go(this.#from + this.#perPage));
    byId('ask-yes').addEventListener('click', () => {
      const asked = this.#asked;
      this.#dialog.close();
      if (asked !== undefined) void this.#drain(asked.id, false);
    });
    byId('ask-no').addEventListener('click', () => this.#dialog.close());
    this.#dialog.addEventListener('close', () => this.#asked?.button.focus());
  }

  begin(admin: boolean, perPage: number): void {
    this.#admin = admin;
    this.#perPage = perPage;
  }

  /** The first page, as all are told of it. */
  update(rows: readonly NodeRow[], known: number): void {
    if (this.#find === '' && this.#from === 0) this.#show({ from: 0, found: known, rows });
    else if (Date.now() - this.#lookedAt > AGAIN_MS) void this.#look();
  }

  #go(from: number): void {
    this.#from = Math.max(0, from);
    void this.#look();
  }

  async #look(): Promise<void> {
    this.#looking?.abort();
    const looking = (this.#looking = new AbortController());
    this.#lookedAt = Date.now();
    try {
      this.#show(await nodePage(this.#find, this.#from, looking.signal));
    } catch (error) {
      if (!looking.signal.aborted) say(`not found: ${messageOf(error)}`);
    }
  }

  #show({ from, found, rows }: NodePage): void {
    const to = from + rows.length;
    const which = found > rows.length ? `${number(from + 1)} to ${number(to)} of ` : '';
    const matching = this.#find === '' ? '' : ` with “${this.#find}” in them`;
    setText(
      byId('nodes-caption'),
      `${which}${number(found)} ${found === 1 ? 'node' : 'nodes'}${matching}, what needs somebody first`,
    );
    byId('pages').hidden = from === 0 && found <= rows.length;
    byId('back', HTMLButtonElement).disabled = from === 0;
    byId('on', HTMLButtonElement).disabled = to >= found;
    this.#rows.show(
      rows,
      ({ id }) => id,
      cellsOf,
      (row, last) => this.#offer(row, last),
    );
  }

  /** The button that drains a node, or takes that back. */
  #offer({ id, state, drains }: NodeRow, cell: HTMLElement): void {
    let button = cell.querySelector('button');
    if (button === null) {
      button = make('button', { type: 'button' }) as HTMLButtonElement;
      const own = button;
      own.addEventListener('click', () => {
        if (own.dataset.undo === 'true') void this.#drain(id, true);
        else this.#ask(id, own);
      });
      cell.append(button);
    }
    button.hidden = !this.#admin || state === 'OFFLINE';
    button.dataset.undo = String(drains);
    setText(button, drains ? 'Undrain' : 'Drain');
    const label = `${drains ? 'Undrain' : 'Drain'} ${id}`;
    if (button.getAttribute('aria-label') !== label) button.setAttribute('aria-label', label);
  }

  #ask(id: string, button: HTMLElement): void {
    this.#asked = { id, button };
    setText(byId('ask-title'), `Drain ${id}?`);
    this.#dialog.showModal();
  }

  async #drain(id: string, undo: boolean): Promise<void> {
    try {
      const { state } = await drain(id, undo);
      say(undo ? `${id}: the drain is taken back` : `${id} drains (${state})`);
    } catch (error) {
      say(`${id}: ${messageOf(error)}`);
    }
  }
}

function say(text: string): void {
  setText(byId('done'), text);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function cellsOf(row: NodeRow): readonly Cell[] {
  const banned =
    row.bannedMs === null ? [] : [`banned for ${number(Math.ceil(row.bannedMs / 1000))} s`];
  const more = row.moreModels === 0 ? '' : ` and ${number(row.moreModels)} more`;
  const idle = row.open - row.running;
  return [
    { text: row.id, small: `${row.address}, ${row.version}` },
    { text: row.state, tone: toneOf(row), small: [...banned, ...row.reasons].join('; ') },
    { text: number(row.running), small: idle > 0 ? `${number(idle)} idle` : '' },
    { text: number(row.free), small: row.kept > 0 ? `${number(row.kept)} kept` : '' },
    { text: number(row.waiting) },
    {
      text: milliseconds(row.lagMs),
      small: row.beatMs === null ? 'no heartbeat yet' : `told ${seconds(row.beatMs)} ago`,
    },
    { text: `${row.models.join(', ')}${more}` },
  ];
}

function toneOf({ state, bannedMs }: NodeRow): 'good' | 'warn' | 'bad' {
  if (state === 'SUSPECT' || state === 'OFFLINE' || bannedMs !== null) return 'bad';
  return state === 'ONLINE' ? 'good' : 'warn';
}

function seconds(ms: number): string {
  return `${number(Math.round(ms / 1000))} s`;
}
