import { writeSync } from 'node:fs';
import type { DestinationStream } from 'pino';

export interface LogOutputOptions {
  /** Default 1: standard output. */
  readonly fd?: number;
  /** For tests. Default: `fs.writeSync`. */
  readonly write?: (fd: number, bytes: Buffer) => number;
}

/**
 * Where log lines go. A line that cannot be written (no room on the disk, nobody reads any more) is
 * lost and counted: a service must not stop, nor stand still, for its log. (pino's own stream tries
 * the same line again for ever, on the event loop.) When lines get through again, the first says how
 * many were lost.
 */
export function logOutput(options: LogOutputOptions = {}): DestinationStream {
  const { fd = 1 } = options;
  const write = options.write ?? writeSync;
  let lost = 0;
  /** The last thing written is a part of a line. */
  let torn = false;
  const put = (line: string): boolean => {
    try {
      let rest = Buffer.from(torn ? `\n${line}` : line);
      while (rest.length > 0) {
        const written = write(fd, rest);
        if (written > 0) torn = written < rest.length;
        rest = rest.subarray(written);
      }
      return true;
    } catch {
      return false;
    }
  };
  return {
    write(line) {
      if (lost > 0 && put(lostLine(lost))) lost = 0;
      if (lost > 0 || !put(line)) lost++;
    },
  };
}

function lostLine(lines: number): string {
  const time = new Date().toISOString();
  return `${JSON.stringify({ level: 'warn', time, lines, msg: 'log lines could not be written' })}\n`;
}
