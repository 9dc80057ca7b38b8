/**
 * Every reason Cabstand gives for a refusal or a failure: the one table that maps reason → gRPC code
 * → class. Reasons travel as `google.rpc.ErrorInfo.reason` (domain `cabstand`).
 */

/**
 * What a client does about an error.
 * - `caller`: the caller's mistake: never retried, never blamed on the node.
 * - `overload`: try elsewhere, or later with the given delay.
 * - `node`: the node failed: try elsewhere, and report it.
 * - `session`: the session can be resumed.
 * - `auth`: refresh credentials once.
 * - `fatal`: retrying cannot help and nobody is to blame at run time.
 */
export type ErrorClass = 'caller' | 'overload' | 'node' | 'session' | 'auth' | 'fatal';

/** gRPC status codes, by number: https://grpc.io/docs/guides/status-codes/ */
export const Code = {
  OK: 0,
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
} as const;

export type CodeName = keyof typeof Code;

interface ReasonRow {
  readonly code: CodeName;
  readonly class: ErrorClass;
}

const row = (code: CodeName, errorClass: ErrorClass): ReasonRow => ({ code, class: errorClass });

export const REASONS = {
  // The caller's input.
  INVALID_ARGUMENT: row('INVALID_ARGUMENT', 'caller'),
  INPUT_UNKNOWN: row('INVALID_ARGUMENT', 'caller'),
  INPUT_MISSING: row('INVALID_ARGUMENT', 'caller'),
  INPUT_DTYPE: row('INVALID_ARGUMENT', 'caller'),
  INPUT_RANK: row('INVALID_ARGUMENT', 'caller'),
  INPUT_SHAPE: row('INVALID_ARGUMENT', 'caller'),
  INPUT_BYTES: row('INVALID_ARGUMENT', 'caller'),
  INPUT_NOT_FINITE: row('INVALID_ARGUMENT', 'caller'),
  INPUT_OUT_OF_RANGE: row('INVALID_ARGUMENT', 'caller'),
  INPUT_TEXT: row('INVALID_ARGUMENT', 'caller'),
  PARAMETER_INVALID: row('INVALID_ARGUMENT', 'caller'),
  LIMIT_EXCEEDED: row('INVALID_ARGUMENT', 'caller'),
  MESSAGE_TOO_LARGE: row('RESOURCE_EXHAUSTED', 'caller'),
  POSITION_INVALID: row('OUT_OF_RANGE', 'caller'),

  // Models.
  MODEL_UNKNOWN: row('NOT_FOUND', 'caller'),
  /** This hoster does not have the model; another may. */
  MODEL_NOT_HERE: row('NOT_FOUND', 'overload'),
  MODEL_LOADING: row('UNAVAILABLE', 'overload'),
  /** Of one model: its hoster is well, and serves others. */
  MODEL_FAILED: row('FAILED_PRECONDITION', 'overload'),
  MANIFEST_INVALID: row('FAILED_PRECONDITION', 'fatal'),
  VERIFICATION_FAILED: row('FAILED_PRECONDITION', 'fatal'),
  OUT_OF_MEMORY: row('RESOURCE_EXHAUSTED', 'overload'),
  /** The process may open no further file, socket or program. */
  OUT_OF_DESCRIPTORS: row('RESOURCE_EXHAUSTED', 'overload'),

  // Sessions.
  SESSION_UNKNOWN: row('NOT_FOUND', 'session'),
  SESSION_ENDED: row('FAILED_PRECONDITION', 'caller'),
  SESSION_EXISTS: row('ALREADY_EXISTS', 'caller'),
  SESSION_BUSY: row('FAILED_PRECONDITION', 'caller'),
  SESSION_LOST: row('DATA_LOSS', 'session'),
  SESSION_EVICTED: row('ABORTED', 'session'),
  EPOCH_FENCED: row('ABORTED', 'fatal'),
  TURN_OUT_OF_ORDER: row('FAILED_PRECONDITION', 'caller'),
  TURN_CONFLICT: row('FAILED_PRECONDITION', 'caller'),
  TURN_POISONED: row('ABORTED', 'fatal'),
  CHECKPOINT_INVALID: row('INVALID_ARGUMENT', 'caller'),
  COMMAND_UNKNOWN: row('INVALID_ARGUMENT', 'caller'),

  // Capacity.
  HOSTER_FULL: row('RESOURCE_EXHAUSTED', 'overload'),
  NO_NODE: row('UNAVAILABLE', 'overload'),
  RATE_LIMITED: row('RESOURCE_EXHAUSTED', 'overload'),
  QUOTA_EXCEEDED: row('RESOURCE_EXHAUSTED', 'overload'),
  DRAINING: row('UNAVAILABLE', 'overload'),

  // Nodes.
  NODE_UNREACHABLE: row('UNAVAILABLE', 'node'),
  NODE_UNKNOWN: row('NOT_FOUND', 'caller'),
  /** For hosters: an alive node has that id or address. Its end makes room. */
  NODE_EXISTS: row('ALREADY_EXISTS', 'overload'),
  NODE_STALLED: row('UNAVAILABLE', 'node'),
  NODE_BAD_REPLY: row('INTERNAL', 'node'),
  INCARNATION_UNKNOWN: row('FAILED_PRECONDITION', 'session'),
  ENGINE_CRASHED: row('UNAVAILABLE', 'node'),
  ENGINE_STALLED: row('UNAVAILABLE', 'node'),
  ROUTER_UNREACHABLE: row('UNAVAILABLE', 'node'),

  // Credentials.
  UNAUTHENTICATED: row('UNAUTHENTICATED', 'auth'),
  CREDENTIALS_MISSING: row('UNAUTHENTICATED', 'auth'),
  CREDENTIALS_MALFORMED: row('UNAUTHENTICATED', 'auth'),
  CREDENTIALS_EXPIRED: row('UNAUTHENTICATED', 'auth'),
  CREDENTIALS_REPLAYED: row('UNAUTHENTICATED', 'auth'),
  CREDENTIALS_AUDIENCE: row('UNAUTHENTICATED', 'auth'),
  KEY_UNKNOWN: row('UNAUTHENTICATED', 'auth'),
  CLOCK_SKEW: row('UNAUTHENTICATED', 'auth'),
  PERMISSION_DENIED: row('PERMISSION_DENIED', 'caller'),
  NOT_SESSION_OWNER: row('PERMISSION_DENIED', 'caller'),
  TICKET_INVALID: row('PERMISSION_DENIED', 'overload'),

  // Starting up.
  CONFIG_INVALID: row('FAILED_PRECONDITION', 'fatal'),
  ADDRESS_IN_USE: row('FAILED_PRECONDITION', 'fatal'),

  // Calls.
  CANCELLED: row('CANCELLED', 'caller'),
  DEADLINE_EXCEEDED: row('DEADLINE_EXCEEDED', 'node'),
  UNIMPLEMENTED: row('UNIMPLEMENTED', 'fatal'),
  /** A health check for a service that the server does not have. */
  SERVICE_UNKNOWN: row('NOT_FOUND', 'caller'),
  INTERNAL: row('INTERNAL', 'node'),
} as const satisfies Record<string, ReasonRow>;

export type Reason = keyof typeof REASONS;

export function isReason(value: string): value is Reason {
  return Object.hasOwn(REASONS, value);
}

/**
 * What a bare status means, one that carries no ErrorInfo: gRPC itself made it. A message that is
 * too large arrives as a bare RESOURCE_EXHAUSTED.
 */
export const BARE_STATUS: Readonly<Record<CodeName, Reason>> = {
  OK: 'INTERNAL',
  CANCELLED: 'CANCELLED',
  UNKNOWN: 'NODE_BAD_REPLY',
  INVALID_ARGUMENT: 'INVALID_ARGUMENT',
  DEADLINE_EXCEEDED: 'DEADLINE_EXCEEDED',
  NOT_FOUND: 'NODE_BAD_REPLY',
  ALREADY_EXISTS: 'NODE_BAD_REPLY',
  PERMISSION_DENIED: 'PERMISSION_DENIED',
  RESOURCE_EXHAUSTED: 'MESSAGE_TOO_LARGE',
  FAILED_PRECONDITION: 'NODE_BAD_REPLY',
  ABORTED: 'NODE_BAD_REPLY',
  OUT_OF_RANGE: 'NODE_BAD_REPLY',
  UNIMPLEMENTED: 'UNIMPLEMENTED',
  INTERNAL: 'NODE_BAD_REPLY',
  UNAVAILABLE: 'NODE_UNREACHABLE',
  DATA_LOSS: 'NODE_BAD_REPLY',
  UNAUTHENTICATED: 'UNAUTHENTICATED',
};
