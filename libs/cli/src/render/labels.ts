import { numbersOf } from '@cabstand/tensor';
import { bar } from './bar';
import type { OutputChunk, OutputRenderer } from './output';
import { printable, visibleLength } from './style';
import type { Style } from './style';

const BAR_WIDTH = 24;
const MOST_LABELS = 5;

/** A classifier's labels with their probabilities, the likeliest first. */
export class LabelRenderer implements OutputRenderer {
  readonly #output: string;
  readonly #labels: readonly string[];
  readonly #style: Style;

  constructor(output: string, labels: readonly string[], style: Style) {
    this.#output = output;
    this.#labels = labels;
    this.#style = style;
  }

  chunk({ outputs }: OutputChunk): string {
    const tensor = outputs.find(({ name }) => name === this.#output);
    if (tensor === undefined) return '';
    const values = Array.from(numbersOf(tensor), Number);
    const classes = this.#labels.length;
    const rows = Math.floor(values.length / classes);
    let text = '';
    for (let row = 0; row < rows; row++) {
      if (rows > 1) text += `${this.#output} of ${row + 1}:\n`;
      text += this.#row(values.slice(row * classes, (row + 1) * classes));
    }
    return text;
  }

  finish(): string {
    return '';
  }

  #row(values: readonly number[]): string {
    const ranked = values
      .map((value, i) => ({ value, label: printable(this.#labels[i] ?? String(i)) }))
      .sort((a, b) => b.value - a.value)
      .slice(0, MOST_LABELS);
    const width = Math.max(...ranked.map(({ label }) => visibleLength(label)));
    return ranked
      .map(({ value, label }, place) => {
        const line = `${label.padEnd(width)}  ${bar(value, BAR_WIDTH)} ${(value * 100).toFixed(2).padStart(6)} %`;
        return `${place === 0 ? this.#style.green(line) : line}\n`;
      })
      .join('');
  }
}
