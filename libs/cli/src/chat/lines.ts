/** Lines that somebody types at a prompt, one after another, while answers go by in between. */
import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';

export interface LinesOptions {
  readonly stdin: NodeJS.ReadStream;
  readonly prompt: string;
  readonly columns: () => number;
  readonly write: (text: string) => Promise<void>;
  /** Ctrl-C. */
  readonly interrupt: () => void;
}

export class Lines implements Disposable {
  readonly #reader;
  readonly #waiting: string[] = [];
  #wanted: ((line: string | undefined) => void) | undefined;
  #closed = false;

  constructor({ stdin, prompt, columns, write, interrupt }: LinesOptions) {
    const output = new Writable();
    // At once: by the time that a queue comes to it, the line is over and nobody is asked.
    output.write = (text: unknown) => {
      // What is typed while nobody is asked is seen with the next prompt.
      if (this.#wanted !== undefined) void write(String(text));
      return true;
    };
    Object.defineProperty(output, 'columns', { get: columns });
    this.#reader = createInterface({ input: stdin, output, terminal: true, prompt });
    this.#reader.on('line', (line) => {
      if (this.#wanted === undefined) this.#waiting.push(line);
      else this.#give(line);
    });
    this.#reader.on('SIGINT', interrupt);
    this.#reader.on('close', () => {
      this.#closed = true;
      this.#give(undefined);
    });
  }

  /** The next line; undefined when no more come: after Ctrl-D, or the disposal. */
  next(): Promise<string | undefined> {
    const waiting = this.#waiting.shift();
    if (waiting !== undefined || this.#closed) return Promise.resolve(waiting);
    return new Promise((resolve) => {
      this.#wanted = resolve;
      this.#reader.prompt(true);
    });
  }

  [Symbol.dispose](): void {
    this.#reader.close();
  }

  #give(line: string | undefined): void {
    const wanted = this.#wanted;
    this.#wanted = undefined;
    wanted?.(line);
  }
}
