import { once } from 'node:events';
import type { Writable } from 'node:stream';
import { createStyle } from './render/style';
import type { Style } from './render/style';

/** Where a command writes: results on `out`, everything else on `note`. */
export interface Terminal {
  /** Results. Resolves when the reader has room again. */
  out(text: string): Promise<void>;
  /** Progress and remarks, on stderr. */
  note(text: string): void;
  readonly columns: number;
  /** Results go to a person's terminal. */
  readonly interactive: boolean;
  readonly style: Style;
  /** Style for what goes to stderr. */
  readonly noteStyle: Style;
  /** Aborts on Ctrl-C and the like, and when the reader of the results is gone. */
  readonly signal: AbortSignal;
}

export interface TerminalStream extends Writable {
  readonly isTTY?: boolean;
  readonly columns?: number;
}

export interface TerminalOptions {
  readonly stdout: TerminalStream;
  readonly stderr: TerminalStream;
  readonly env: NodeJS.ProcessEnv;
  readonly signal: AbortSignal;
}

const DEFAULT_COLUMNS = 80;

export function createTerminal({ stdout, stderr, env, signal }: TerminalOptions): Terminal {
  return {
    async out(text) {
      if (text !== '' && !stdout.write(text)) await once(stdout, 'drain', { signal });
    },
    note(text) {
      stderr.write(text);
    },
    columns: stdout.columns ?? DEFAULT_COLUMNS,
    interactive: stdout.isTTY === true,
    style: createStyle(wantsColour(stdout, env)),
    noteStyle: createStyle(wantsColour(stderr, env)),
    signal,
  };
}

/** Colours on a terminal only; NO_COLOR (https://no-color.org) and TERM=dumb turn them off. */
function wantsColour(stream: TerminalStream, env: NodeJS.ProcessEnv): boolean {
  if ((env['NO_COLOR'] ?? '') !== '' || env['TERM'] === 'dumb') return false;
  return stream.isTTY === true;
}
