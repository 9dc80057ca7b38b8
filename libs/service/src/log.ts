import pino from 'pino';
import type { DestinationStream, Logger } from 'pino';
import { shortLine } from './log-line';
import { logOutput } from './log-output';

export type { Logger } from 'pino';

export interface LoggerOptions {
  /** Name of the service, on every line. */
  readonly name: string;
  /** Default `info`. */
  readonly level?: string;
  /** Default: standard output. */
  readonly destination?: DestinationStream;
}

const SECRETS = ['authorization', 'token', 'ticket', 'private_key', 'password', 'secret', 'sealed'];

/** JSON lines of at most 4 KiB on standard output. Values of keys that name secrets are replaced. */
export function createLogger(settings: LoggerOptions): Logger {
  const { name, level = 'info', destination = logOutput() } = settings;
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
  return pino(options, { write: (line) => destination.write(shortLine(line)) });
}
