const ESCAPE = String.fromCharCode(27);
const SEQUENCE = new RegExp(`${ESCAPE}\\[[0-9;]*[A-Za-z]|[^]`, 'g');

/** As much of a terminal as a live area uses. */
export class TestScreen {
  lines: string[] = [''];
  #row = 0;
  #column = 0;

  write(text: string): void {
    for (const [part] of text.matchAll(SEQUENCE)) this.#act(part);
  }

  #act(part: string): void {
    if (part === '\n') {
      this.#row += 1;
      this.#column = 0;
      if (this.#row === this.lines.length) this.lines.push('');
    } else if (part === '\r') this.#column = 0;
    else if (part.endsWith('A') && part.length > 1) this.#row -= Number(part.slice(2, -1));
    else if (part === '\u001b[K') this.#cut();
    else if (part === '\u001b[J') {
      this.#cut();
      this.lines.length = this.#row + 1;
    } else if (part.length === 1) {
      const line = (this.lines[this.#row] ?? '').padEnd(this.#column);
      this.lines[this.#row] = line.slice(0, this.#column) + part + line.slice(this.#column + 1);
      this.#column += 1;
    }
  }

  #cut(): void {
    this.lines[this.#row] = (this.lines[this.#row] ?? '').slice(0, this.#column);
  }
}
