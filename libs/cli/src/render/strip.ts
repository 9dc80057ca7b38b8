import { numbersOf } from '@cabstand/tensor';
import { level } from './bar';
import type { LiveArea } from './live-area';
import type { OutputChunk, OutputEnd, OutputRenderer } from './output';
import type { Style } from './style';

export interface StripOptions {
  /** Name of the output that holds one probability. */
  readonly output: string;
  readonly columns: number;
  readonly style: Style;
  /** Where a line is drawn until it is full; undefined: lines are written once they are. */
  readonly area: LiveArea | undefined;
}

/** At or above this it stands out. */
const THRESHOLD = 0.5;
const MARGIN = 12;
const WIDEST = 64;

/**
 * A probability for each record as a strip of bars, each line led by the number of its first record: a module
 * does not say how much time one takes. What it has found it tells by messages, which come between the lines.
 */
export class StripRenderer implements OutputRenderer {
  readonly #options: StripOptions;
  readonly #perLine: number;
  #bars = '';
  #first = 0;
  #count = 0;
  #chunks = 0;

  constructor(options: StripOptions) {
    this.#options = options;
    this.#perLine = Math.max(8, Math.min(WIDEST, options.columns - MARGIN));
  }

  chunk({ index, outputs }: OutputChunk): string {
    const { area, output, style } = this.#options;
    const tensor = outputs.find(({ name }) => name === output);
    const value = tensor === undefined ? NaN : Number(numbersOf(tensor)[0] ?? NaN);
    if (this.#count === 0) this.#first = index;
    this.#bars += value >= THRESHOLD ? style.green(level(value)) : style.dim(level(value));
    this.#count += 1;
    this.#chunks += 1;
    if (this.#count === this.#perLine) return this.#flush();
    return area?.body([this.#line()]) ?? '';
  }

  finish(end: OutputEnd | undefined): string {
    const rest = this.#flush();
    if (end === undefined) return rest;
    return `${rest}${this.#options.style.dim(`${end.reason} after ${this.#chunks} records`)}\n`;
  }

  /** The line as it is; the next one begins. */
  #flush(): string {
    if (this.#count === 0) return '';
    const line = this.#line();
    this.#bars = '';
    this.#count = 0;
    const { area } = this.#options;
    return area === undefined ? `${line}\n` : area.body([line]) + area.leave();
  }

  #line(): string {
    return `${String(this.#first).padStart(8)}  ${this.#bars}`;
  }
}
