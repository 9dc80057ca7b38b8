import { SegmentFinder } from '@cabstand/media';
import type { Segment } from '@cabstand/media';
import { numbersOf } from '@cabstand/tensor';
import { level } from './bar';
import type { OutputChunk, OutputEnd, OutputRenderer } from './output';
import type { Style } from './style';
import { clockTime } from './units';

export interface TimelineOptions {
  /** Seconds of input for each record. */
  readonly frameSeconds: number;
  /** Name of the output that holds one probability. */
  readonly output: string;
  /** What it is the probability of. */
  readonly label: string;
  readonly columns: number;
  readonly style: Style;
  /** Print single characters as they come (a terminal) rather than whole lines. */
  readonly live: boolean;
}

/** At or above this it counts. */
const THRESHOLD = 0.5;
const MOST_SEGMENTS = 1000;
const MARGIN = 12;
const WIDEST = 64;

/** A probability for each frame as a strip of bars, and the segments above one half. */
export class TimelineRenderer implements OutputRenderer {
  readonly #options: TimelineOptions;
  readonly #perLine: number;
  readonly #segments: Segment[] = [];
  readonly #finder: SegmentFinder;
  #dropped = 0;
  #frames = 0;
  #line = '';

  constructor(options: TimelineOptions) {
    this.#options = options;
    this.#finder = new SegmentFinder({ frameSeconds: options.frameSeconds, threshold: THRESHOLD });
    this.#perLine = Math.max(8, Math.min(WIDEST, options.columns - MARGIN));
  }

  chunk(chunk: OutputChunk): string {
    const tensor = chunk.outputs.find(({ name }) => name === this.#options.output);
    const value = tensor === undefined ? NaN : Number(numbersOf(tensor)[0] ?? NaN);
    const { frameSeconds, style, live } = this.#options;
    let text = '';
    const column = this.#frames % this.#perLine;
    if (column === 0) text += `${clockTime(this.#frames * frameSeconds).padStart(8)}  `;
    text += value >= THRESHOLD ? style.green(level(value)) : style.dim(level(value));
    if (column === this.#perLine - 1) text += '\n';
    this.#keep(this.#finder.add(value));
    this.#frames++;
    if (live) return text;
    this.#line += text;
    if (!this.#line.endsWith('\n')) return '';
    const line = this.#line;
    this.#line = '';
    return line;
  }

  finish(end: OutputEnd | undefined): string {
    if (end === undefined && this.#frames === 0) return '';
    this.#keep(this.#finder.end());
    const { style, frameSeconds, label } = this.#options;
    const broken = this.#frames % this.#perLine === 0 ? '' : '\n';
    const lines = this.#segments.map(
      ({ from, to }) =>
        `${style.green(label)}  ${clockTime(from).padStart(8)} – ${clockTime(to)}  (${(to - from).toFixed(2)} s)\n`,
    );
    if (this.#dropped > 0) lines.push(`… and ${this.#dropped} more\n`);
    if (this.#segments.length === 0) lines.push(`no ${label}\n`);
    const of = `${this.#frames} frames, ${clockTime(this.#frames * frameSeconds)}`;
    const why = end === undefined || end.reason === 'completed' ? '' : `, ${end.reason}`;
    return `${this.#line}${broken}${lines.join('')}${style.dim(`${of}${why}`)}\n`;
  }

  #keep(segment: Segment | undefined): void {
    if (segment === undefined) return;
    if (this.#segments.length < MOST_SEGMENTS) this.#segments.push(segment);
    else this.#dropped++;
  }
}
