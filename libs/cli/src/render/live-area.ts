const ESCAPE = '\u001b[';
/** From here to the end of the line, and of the screen. */
const REST_OF_LINE = `${ESCAPE}K`;
const REST_OF_SCREEN = `${ESCAPE}J`;

/**
 * The last lines of a terminal, which are drawn over and over while other text goes by above them: a body,
 * and a foot below it. Answers what to write. A line must be shorter than the terminal is wide.
 */
export class LiveArea {
  #body: readonly string[] = [];
  #foot: readonly string[] = [];
  /** Lines that stand on the screen. */
  #shown = 0;

  /** Lines that the foot takes. */
  get footLines(): number {
    return this.#foot.length;
  }

  body(lines: readonly string[]): string {
    this.#body = lines;
    return this.#draw();
  }

  foot(lines: readonly string[]): string {
    this.#foot = lines;
    return this.#draw();
  }

  /** Puts text above the area. The text ends with a line feed. */
  above(text: string): string {
    if (text === '') return '';
    const start = this.#shown === 0 ? '' : this.#home() + REST_OF_SCREEN;
    this.#shown = 0;
    return start + text + this.#draw();
  }

  /** Leaves the body as it is and forgets it: what comes next is below it. */
  leave(): string {
    if (this.#body.length === 0) return '';
    const left = this.#body.map((line) => `${line}\n`).join('');
    this.#body = [];
    return this.above(left);
  }

  #draw(): string {
    const lines = [...this.#body, ...this.#foot];
    const text = this.#home() + lines.map((line) => line + REST_OF_LINE).join('\n');
    const rest = lines.length < this.#shown ? REST_OF_SCREEN : '';
    this.#shown = lines.length;
    return text + rest;
  }

  /** To the beginning of the first line. */
  #home(): string {
    if (this.#shown === 0) return '';
    return this.#shown === 1 ? '\r' : `\r${ESCAPE}${this.#shown - 1}A`;
  }
}
