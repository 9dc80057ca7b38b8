import { CabstandError } from '@cabstand/core';
import { ExitCode } from './exit-code';
import type { Logger } from './log';

/** Errors of what a service was started with: its settings, and the files that they name. */
const CONFIG_REASONS: ReadonlySet<string> = new Set([
  'CONFIG_INVALID',
  'INVALID_ARGUMENT',
  'MANIFEST_INVALID',
]);

/** The exit code for an error that ended a service. */
export function exitCodeOf(error: unknown): ExitCode {
  if (!CabstandError.is(error)) return ExitCode.FAILURE;
  if (error.reason === 'ADDRESS_IN_USE') return ExitCode.ADDRESS_IN_USE;
  if (CONFIG_REASONS.has(error.reason)) return ExitCode.CONFIG;
  return ExitCode.FAILURE;
}

/**
 * Says why a service ends, in one line that says what to do as well. Only an error that nobody expected
 * has its stack with it.
 */
export function logFatal(logger: Logger, error: unknown): void {
  if (!CabstandError.is(error) || error.reason === 'INTERNAL') {
    logger.fatal({ err: error }, error instanceof Error ? error.message : String(error));
    return;
  }
  const { reason, message } = error;
  const remedy = remedyFor(error);
  logger.fatal({ reason }, remedy === undefined ? message : `${message}. ${remedy}`);
}

/** What to do, where the message does not say it. */
function remedyFor({ reason, message, metadata }: CabstandError): string | undefined {
  if (reason === 'MANIFEST_INVALID')
    return 'Mend the model (`cabstand model check DIR` tells all that is wrong), or start without `strict`';
  const { file } = metadata;
  if (reason !== 'INVALID_ARGUMENT' || file === undefined) return undefined;
  if (message.includes('no such file'))
    return 'Name the right file (relative paths in a configuration file are relative to it), or make keys and certificates with `cabstand keys init`';
  return '`cabstand keys --help` says which file is for whom';
}
