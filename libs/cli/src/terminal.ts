import type { Writable } from 'node:stream';
import { createStyle, printable } from './render/style';
import type { Style } from './render/style';

/** Where a command writes: results on `out`, everything else on `note`. */
export interface Terminal {
  /** Results. Resolves when the reader has room again, or there is no use in waiting. Never rejects. */
  out(text: string): Promise<void>;
  /** Progress and remarks, on stderr. */
  note(text: string): void;
  /**
   * What is being done, in a line on stderr that the next one replaces and `''` removes. Nothing where
   * stderr is no terminal.
   */
  progress(text: string): void;
  readonly columns: number;
  readonly rows: number;
  /** Results go to a person's terminal. */
  readonly interactive: boolean;
  /** What was written there can be written over. */
  readonly redraws: boolean;
  readonly style: Style;
  /** Style for what goes to stderr. */
  readonly noteStyle: Style;
  /** Aborts on Ctrl-C and the like, and when the reader of the results is gone. */
  readonly signal: AbortSignal;
}

export interface TerminalStream extends Writable {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
}

export interface TerminalOptions {
  readonly stdout: TerminalStream;
  readonly stderr: TerminalStream;
  readonly env: NodeJS.ProcessEnv;
  readonly signal: AbortSignal;
}

const DEFAULT_COLUMNS = 80;
const DEFAULT_ROWS = 24;

export function createTerminal({ stdout, stderr, env, signal }: TerminalOptions): Terminal {
  return {
    async out(text) {
      if (text !== '' && !stdout.destroyed && !stdout.write(text)) await room(stdout, signal);
    },
    note(text) {
      stderr.write(text);
    },
    progress(text) {
      if (stderr.isTTY !== true) return;
      const line = printable(text).slice(0, (stderr.columns || DEFAULT_COLUMNS) - 1);
      stderr.write(`\r\u001b[K${line}`);
    },
    // Asked for anew each time: windows are resized.
    get columns() {
      return stdout.columns || DEFAULT_COLUMNS;
    },
    get rows() {
      return stdout.rows || DEFAULT_ROWS;
    },
    interactive: stdout.isTTY === true,
    redraws: stdout.isTTY === true && env['TERM'] !== 'dumb',
    style: createStyle(wantsColour(stdout, env)),
    noteStyle: createStyle(wantsColour(stderr, env)),
    signal,
  };
}

function room(stream: Writable, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      for (const event of ['drain', 'close', 'error']) stream.off(event, done);
      signal.removeEventListener('abort', done);
      resolve();
    };
    if (signal.aborted || stream.destroyed || !stream.writableNeedDrain) {
      resolve();
      return;
    }
    for (const event of ['drain', 'close', 'error']) stream.once(event, done);
    signal.addEventListener('abort', done, { once: true });
  });
}

/** Colours on a terminal only; NO_COLOR (https://no-color.org) and TERM=dumb turn them off. */
function wantsColour(stream: TerminalStream, env: NodeJS.ProcessEnv): boolean {
  if ((env['NO_COLOR'] ?? '') !== '' || env['TERM'] === 'dumb') return false;
  return stream.isTTY === true;
}
