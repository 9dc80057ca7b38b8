import { CabstandError } from '@cabstand/core';
import type { Reason } from '@cabstand/core';

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
  switch (error.class) {
    case 'caller':
    case 'auth':
    case 'overload':
      return ExitCode.REFUSED;
    default:
      return ExitCode.FAILURE;
  }
}

const ADVICE: Partial<Record<Reason, string>> = {
  ROUTER_UNREACHABLE:
    'Is the subnet up? Start one with `cabstand up`, or name its router with --router HOST:PORT (and --tls if it speaks TLS).',
  NODE_UNREACHABLE: 'See `cabstand nodes` for the hosters that are up.',
  NO_NODE: 'See `cabstand nodes` for hosters, their models and their free slots.',
  MODEL_UNKNOWN: 'See `cabstand info` for the models of the subnet.',
  HOSTER_FULL: 'All slots are taken: try again, or start another hoster.',
  RATE_LIMITED: 'Call less often, or raise the limit in the configuration of the service.',
  CREDENTIALS_MISSING:
    'Pass --credentials DIR (made by `cabstand keys init`) or set CABSTAND_CREDENTIALS.',
  UNAUTHENTICATED: 'Check --credentials, --token or --key: the subnet does not know them.',
  CREDENTIALS_EXPIRED: 'Make a new token with `cabstand keys token`.',
  CREDENTIALS_AUDIENCE: 'The token was made for another subnet: see `cabstand keys token --help`.',
  KEY_UNKNOWN: 'The subnet does not have this key: use the credentials that it was started with.',
  CLOCK_SKEW: 'Set the clock of this machine (NTP); `cabstand doctor` shows the difference.',
  PERMISSION_DENIED: 'This needs other credentials: `cabstand keys show` tells the roles of yours.',
  MESSAGE_TOO_LARGE:
    'Send the input in smaller parts, or raise rpc.max_message_bytes of the hosters and --max-message-bytes here.',
  UNIMPLEMENTED: 'The service does not do this (yet); its version is in `cabstand info`.',
};

/** What to do about an error, if there is something to say. */
export function adviceFor(error: unknown): string | undefined {
  if (error instanceof UsageError) return error.hint;
  if (!CabstandError.is(error)) return undefined;
  return ADVICE[error.reason];
}

const GRPC_WORDS =
  /No connection established\. Last error: (?:Error: )?(.*?)\. Resolution note: ?/g;

/** What gRPC says about a connection that fails, without what only its authors need. */
export function plainMessage(message: string): string {
  return message.replace(GRPC_WORDS, 'no connection: $1');
}

/** An error as people read it: the sentence, its reason, and what to do. */
export function describeError(error: unknown): string {
  const message = plainMessage(error instanceof Error ? error.message : String(error));
  const reason =
    CabstandError.is(error) && !(error instanceof UsageError) ? ` (${error.reason})` : '';
  const advice = adviceFor(error);
  return `cabstand: ${message}${reason}${advice === undefined ? '' : `\n  ${advice}`}`;
}
