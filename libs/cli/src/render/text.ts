import type { OutputChunk, OutputEnd, OutputRenderer } from './output';
import { printable } from './style';
import type { Style } from './style';

/** Text as it is generated. */
export class TextRenderer implements OutputRenderer {
  readonly #style: Style;
  /** Put between the texts of two records. */
  readonly #separator: string;
  #tokens = 0;

  constructor(style: Style, separator = '') {
    this.#style = style;
    this.#separator = separator;
  }

  chunk({ text }: OutputChunk): string {
    const lead = this.#tokens++ === 0 ? '' : this.#separator;
    return lead + text.split('\n').map(printable).join('\n');
  }

  finish(end: OutputEnd | undefined): string {
    // Nothing was begun that a line would have to end.
    if (end === undefined && this.#tokens === 0) return '';
    const why =
      end === undefined || end.reason === 'completed'
        ? ''
        : ` ${this.#style.dim(`(${end.reason})`)}`;
    return `${why}\n`;
  }
}
