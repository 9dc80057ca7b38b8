import pino from 'pino';
import type { DestinationStream, Logger } from 'pino';
import { shortLine } from './log-line';
import { logOutput } from './log-output';
import { prettyLine } from './log-pretty';

export type { Logger } from 'pino';

export interface LoggerOptions {
  /** Name of the service, on every line. */
  readonly name: string;
  /** Default `info`. */
  readonly level?: string;
  /** Default `{ kind: 'json' }`. */
  readonly format?: LogFormat;
  /** Default: standard output. */
  readonly destination?: DestinationStream;
}

/** JSON for programs, or short lines for people at a terminal. */
export type LogFormat =
  { readonly kind: 'json' } | { readonly kind: 'pretty'; readonly colours: boolean };

const SECRETS = ['authorization', 'token', 'ticket', 'private_key', 'password', 'secret', 'sealed'];

/** Lines of at most 4 KiB, or readable ones, on standard output. Values of keys that name secrets are replaced. */
export function createLogger(settings: LoggerOptions): Logger {
  const { name, level = 'info', format = { kind: 'json' }, destination = logOutput() } = settings;
  const options = {
    name,
    level,
    redact: {
      paths: SECRETS.flatMap((key) => [key, `*.${key}`, `*.*.${key}`]),
      censor: '[redacted]',
    },
    formatters: { level: (label: string) => ({ level: label }) },
    timestamp: pino.stdTimeFunctions.isoTime,
    serializers: { err: pino.stdSerializers.errWithCause },
  };
  const write =
    format.kind === 'json'
      ? (line: string) => destination.write(shortLine(line))
      : (line: string) => destination.write(prettyLine(shortLine(line), format));
  return pino(options, { write });
}
