import type { Point } from '../console/view.js';
import { make, number, setText } from './dom.js';

const SPAN_MS = 300_000;
/** Between points further apart nobody has looked: the line is broken there. */
const GAP_MS = 10_000;
const POINTS = 300;
const WIDTH = 300;
const HEIGHT = 60;
const SVG = 'http://www.w3.org/2000/svg';

interface Chart {
  readonly title: string;
  readonly unit: string;
  readonly read: (point: Point) => number | null;
  readonly path: Element;
  readonly svg: Element;
  readonly latest: Element;
}

const WANTED: readonly Pick<Chart, 'title' | 'unit' | 'read'>[] = [
  { title: 'Sessions that run', unit: '', read: ({ running }) => running },
  { title: 'Sessions that wait', unit: '', read: ({ waiting }) => waiting },
  { title: 'Records', unit: '/s', read: ({ recordsPerSecond }) => recordsPerSecond },
  { title: 'Time to the first chunk', unit: ' ms', read: ({ firstChunkMs }) => firstChunkMs },
  { title: 'Hand-outs', unit: '/s', read: ({ handOutsPerSecond }) => handOutsPerSecond },
  { title: 'Refused hand-outs', unit: '/s', read: ({ refusedPerSecond }) => refusedPerSecond },
  { title: 'Sessions that moved', unit: '/s', read: ({ movedPerSecond }) => movedPerSecond },
  { title: 'Time of a step', unit: ' ms', read: ({ stepMs }) => stepMs },
  { title: 'Highest event-loop lag', unit: ' ms', read: ({ lagMs }) => lagMs },
];

/** The numbers of the last minutes as lines. */
export class Charts {
  readonly #points: Point[] = [];
  readonly #charts: readonly Chart[];

  constructor(place: HTMLElement) {
    this.#charts = WANTED.map((wanted) => {
      const svg = document.createElementNS(SVG, 'svg');
      svg.setAttribute('viewBox', `0 0 ${WIDTH} ${HEIGHT}`);
      svg.setAttribute('preserveAspectRatio', 'none');
      svg.setAttribute('role', 'img');
      const path = document.createElementNS(SVG, 'path');
      svg.append(path);
      const latest = make('b', {});
      place.append(
        make('figure', {}, make('figcaption', {}, make('span', {}, wanted.title), latest), svg),
      );
      return { ...wanted, path, svg, latest };
    });
  }

  begin(history: readonly Point[]): void {
    this.#points.splice(0, Infinity, ...history);
  }

  add(point: Point): void {
    if (point.at <= (this.#points.at(-1)?.at ?? 0)) return;
    this.#points.push(point);
    if (this.#points.length > POINTS) this.#points.shift();
    for (const chart of this.#charts) this.#draw(chart, point.at);
  }

  #draw({ title, unit, read, path, svg, latest }: Chart, now: number): void {
    const values = this.#points.map((point) => ({ at: point.at, value: read(point) }));
    const most = Math.max(0, ...values.map(({ value }) => value ?? 0));
    path.setAttribute('d', lineOf(values, now, most));
    const last = values.at(-1)?.value ?? null;
    const shown = last === null ? number(last) : `${number(last)}${unit}`;
    setText(latest, shown);
    svg.setAttribute('aria-label', `${title}: ${shown}, at most ${number(most)}${unit}`);
  }
}

function lineOf(
  values: readonly { readonly at: number; readonly value: number | null }[],
  now: number,
  most: number,
): string {
  let line = '';
  let before: number | undefined;
  for (const { at, value } of values) {
    if (value === null || now - at > SPAN_MS) {
      before = undefined;
      continue;
    }
    const x = WIDTH * (1 - (now - at) / SPAN_MS);
    const y = HEIGHT - 2 - (most === 0 ? 0 : (value / most) * (HEIGHT - 4));
    const goesOn = before !== undefined && at - before <= GAP_MS;
    line += `${goesOn ? 'L' : 'M'}${x.toFixed(1)} ${y.toFixed(1)}`;
    // A point alone is seen, too.
    if (!goesOn) line += 'h0.5';
    before = at;
  }
  return line;
}
