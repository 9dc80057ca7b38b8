/** The log of an author: his own calls, and what his code writes to the console. */
import { format } from 'node:util';
import { TokenBucket } from '@cabstand/core';
import type { LogLevel } from '../../frames/module-frames';

type Line = (message: string, fields?: Readonly<Record<string, unknown>>) => void;
export type AuthorLog = Readonly<Record<LogLevel, Line>>;
type Write = (level: LogLevel, message: string) => void;

const MOST_CHARACTERS = 8192;
/** Lines a second, and as many at once. */
const LINES = 200;

export function authorLog(write: Write): AuthorLog {
  const line =
    (level: LogLevel): Line =>
    (message, fields) =>
      write(level, fields === undefined ? message : format('%s %j', message, fields));
  return { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') };
}

/** Lets through so many lines a second, and tells how many it left out. */
export class LogLimit {
  readonly #bucket = new TokenBucket(LINES / 1000, LINES, performance.now());
  #left = 0;

  /** The line as it is to be written; undefined: not at all. */
  admit(message: string): string | undefined {
    if (!this.#bucket.take(performance.now())) {
      this.#left += 1;
      return undefined;
    }
    const before = this.#left === 0 ? '' : `(${this.#left} lines left out) `;
    this.#left = 0;
    return `${before}${message.slice(0, MOST_CHARACTERS)}`;
  }
}

const CONSOLE: Readonly<Record<string, LogLevel>> = {
  debug: 'debug',
  trace: 'debug',
  log: 'info',
  info: 'info',
  warn: 'warn',
  error: 'error',
};

/** From here on what is written to the console goes to the log. */
export function redirectConsole(write: Write): void {
  for (const [method, level] of Object.entries(CONSOLE))
    Object.assign(console, { [method]: (...values: unknown[]) => write(level, format(...values)) });
}
