import { make, setClass, setText } from './dom.js';

export interface Cell {
  readonly text: string;
  /** A second, fainter line. */
  readonly small?: string;
  readonly tone?: '' | 'good' | 'warn' | 'bad';
}

/**
 * The rows of a table, each under its key. A row that stays is changed and not made anew, so that what has the
 * focus keeps it.
 */
export class Rows {
  readonly #body: HTMLElement;
  readonly #labels: readonly string[];
  readonly #rows = new Map<string, HTMLElement>();

  constructor(table: HTMLElement) {
    this.#body = table.querySelector('tbody') ?? table;
    this.#labels = [...table.querySelectorAll('thead th')].map(({ textContent }) => textContent);
  }

  /** @param extend what else belongs in the last cell of a row */
  show<T>(
    values: readonly T[],
    keyOf: (value: T) => string,
    cellsOf: (value: T) => readonly Cell[],
    extend?: (value: T, last: HTMLElement) => void,
  ): void {
    const focused = document.activeElement;
    const gone = new Set(this.#rows.keys());
    values.forEach((value, i) => {
      const key = keyOf(value);
      gone.delete(key);
      let row = this.#rows.get(key);
      if (row === undefined) this.#rows.set(key, (row = this.#make(extend !== undefined)));
      const there = this.#body.children.item(i);
      if (there !== row) this.#body.insertBefore(row, there);
      cellsOf(value).forEach((cell, column) => fill(row.children.item(column), cell));
      const last = row.lastElementChild;
      if (extend !== undefined && last instanceof HTMLElement) extend(value, last);
    });
    for (const key of gone) {
      this.#rows.get(key)?.remove();
      this.#rows.delete(key);
    }
    // A row that has moved has lost it.
    if (focused instanceof HTMLElement && focused !== document.activeElement && focused.isConnected)
      focused.focus({ preventScroll: true });
  }

  #make(extended: boolean): HTMLElement {
    const row = make('tr', { role: 'row' });
    this.#labels.forEach((label, column) => {
      const isName = column === 0;
      const cell = isName
        ? make('th', { role: 'rowheader', scope: 'row' })
        : make('td', { role: 'cell', 'data-label': label });
      if (!(extended && column === this.#labels.length - 1))
        cell.append(make('div', {}, make('span', {}), make('small', {})));
      row.append(cell);
    });
    return row;
  }
}

function fill(cell: Element | null, { text, small = '', tone = '' }: Cell): void {
  const [main, below] = cell?.firstElementChild?.children ?? [];
  if (main === undefined || below === undefined) return;
  setText(main, text);
  setClass(main, tone);
  setText(below, small);
  if (below instanceof HTMLElement) below.hidden = small === '';
}
