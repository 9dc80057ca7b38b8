import { createInterface } from 'node:readline';
import type { Interface } from 'node:readline';
import { Writable } from 'node:stream';
import type { LiveArea } from '../render/live-area';
import { printable } from '../render/style';

export interface PromptOptions {
  readonly stdin: NodeJS.ReadStream;
  /** Where the line that is typed is shown; undefined where stdin is no terminal. */
  readonly area: LiveArea | undefined;
  readonly columns: () => number;
  readonly write: (text: string) => void;
  readonly line: (line: string) => void;
  /** Ctrl-C or Ctrl-D. */
  readonly interrupt: () => void;
}

const LEAD = '> ';
const CURSOR = '_';

/** Reads lines beside a picture that is drawn. Answers what ends the reading and gives the terminal back. */
export function readLines(options: PromptOptions): () => void {
  const { stdin, area, columns, write, line, interrupt } = options;
  const reader = createInterface(
    area === undefined
      ? { input: stdin, terminal: false }
      : // The line editor is readline's own; what it would draw is drawn below the picture.
        { input: stdin, output: nowhere(), terminal: true },
  );
  const show = (): void => {
    if (area !== undefined) write(area.foot([footText(reader, columns())]));
  };
  reader.on('line', line);
  reader.on('SIGINT', interrupt);
  let open = true;
  reader.on('close', () => {
    // The end of a pipe is no wish to stop; Ctrl-D is.
    if (open && area !== undefined) interrupt();
  });
  // After readline's own, which has the line by then.
  stdin.on('keypress', show);
  show();
  return () => {
    open = false;
    stdin.off('keypress', show);
    reader.close();
    if (area !== undefined) write(area.foot([]));
  };
}

/** The end of the line where it is longer than the terminal. */
function footText({ line, cursor }: Interface, columns: number): string {
  const shown = printable(`${LEAD}${line.slice(0, cursor)}${CURSOR}${line.slice(cursor)}`);
  return shown.length < columns ? shown : shown.slice(-(columns - 1));
}

function nowhere(): Writable {
  return new Writable({ write: (_chunk, _encoding, done) => done() });
}
