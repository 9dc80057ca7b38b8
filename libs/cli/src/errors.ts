import { CabstandError } from '@cabstand/core';
import type { Reason } from '@cabstand/core';
import { adviceOn } from './advice';

/** Exit codes, for scripts. `cabstand --help` lists them. */
export const ExitCode = {
  OK: 0,
  /** It was tried and went wrong. */
  FAILURE: 1,
  /** Wrong usage, configuration or input file: nothing was sent. */
  USAGE: 2,
  /** The subnet refused: the caller's mistake, missing rights, or no room. */
  REFUSED: 3,
  /** No router or no hoster could be reached. */
  UNREACHABLE: 4,
  /** Interrupted by Ctrl-C before it was done. */
  INTERRUPTED: 130,
} as const;

export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

/** Wrong usage, found before anything was sent. `hint` says what to do instead. */
export class UsageError extends CabstandError {
  readonly hint: string | undefined;

  constructor(message: string, hint?: string, cause?: unknown) {
    super('INVALID_ARGUMENT', message, cause === undefined ? {} : { cause });
    this.hint = hint;
  }
}

const CONFIGURATION: ReadonlySet<Reason> = new Set(['CONFIG_INVALID', 'ADDRESS_IN_USE']);

/** Asked for and tried: nobody refused. */
const FAILED: ReadonlySet<Reason> = new Set(['MODEL_FAILED']);

const UNREACHABLE: ReadonlySet<Reason> = new Set([
  'ROUTER_UNREACHABLE',
  'NODE_UNREACHABLE',
  'NO_NODE',
]);

/** The exit code for something thrown. */
export function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof UsageError) return ExitCode.USAGE;
  if (!CabstandError.is(error)) return ExitCode.FAILURE;
  if (error.reason === 'CANCELLED') return ExitCode.INTERRUPTED;
  if (CONFIGURATION.has(error.reason)) return ExitCode.USAGE;
  if (UNREACHABLE.has(error.reason)) return ExitCode.UNREACHABLE;
  if (FAILED.has(error.reason)) return ExitCode.FAILURE;
  switch (error.class) {
    case 'caller':
    case 'auth':
    case 'overload':
      return ExitCode.REFUSED;
    default:
      return ExitCode.FAILURE;
  }
}

/** What to do about an error, if there is something to say. */
export function adviceFor(error: unknown): string | undefined {
  if (error instanceof UsageError) return error.hint;
  return CabstandError.is(error) ? adviceOn(error) : undefined;
}

/** An error as people read it: the sentence, its reason, and what to do. */
export function describeError(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  const reason =
    CabstandError.is(error) && !(error instanceof UsageError) ? ` (${error.reason})` : '';
  const advice = adviceFor(error);
  return `cabstand: ${message}${reason}${advice === undefined ? '' : `\n  ${advice}`}`;
}
