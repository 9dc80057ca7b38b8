import { REASONS, isReason } from './reasons';
import type { CodeName, ErrorClass, Reason } from './reasons';

const MARK = Symbol.for('cabstand.CabstandError');

export interface CabstandErrorOptions {
  /** Facts of the case: field, value, expected, queue_position … Values must not hold secrets. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** How long to wait before trying again, in milliseconds. */
  readonly retryAfterMs?: number;
  readonly cause?: unknown;
}

/** The one error type of Cabstand: a reason from the table, a sentence for people, facts. */
export class CabstandError extends Error {
  override readonly name = 'CabstandError';
  readonly reason: Reason;
  readonly metadata: Readonly<Record<string, string>>;
  readonly retryAfterMs: number | undefined;
  readonly [MARK] = true;

  constructor(reason: Reason, message: string, options: CabstandErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.reason = reason;
    this.metadata = options.metadata ?? {};
    this.retryAfterMs = options.retryAfterMs;
  }

  get code(): CodeName {
    return REASONS[this.reason].code;
  }

  get class(): ErrorClass {
    return REASONS[this.reason].class;
  }

  /**
   * What it says, to be kept for longer than the work that failed. Until its stack is read, an error holds the
   * frames that it was made in, and with them calls, requests and whatever else these refer to; so may its cause.
   */
  toKeep(): CabstandError {
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = 0;
    try {
      const { reason, message, metadata, retryAfterMs } = this;
      const after = retryAfterMs === undefined ? {} : { retryAfterMs };
      return new CabstandError(reason, message, { metadata, ...after });
    } finally {
      Error.stackTraceLimit = stackTraceLimit;
    }
  }

  /** Recognises errors of other copies of this package too. */
  static is(value: unknown): value is CabstandError {
    return (
      typeof value === 'object' &&
      value !== null &&
      (value as Record<symbol, unknown>)[MARK] === true
    );
  }

  /** Turns anything thrown into a CabstandError; what is not one already becomes `fallback`. */
  static from(value: unknown, fallback: Reason = 'INTERNAL'): CabstandError {
    if (CabstandError.is(value)) return value;
    if (isOutOfDescriptors(value)) return outOfDescriptors(value);
    if (isErrorLike(value)) {
      const reason = value.name === 'AbortError' ? 'CANCELLED' : fallback;
      return new CabstandError(reason, value.message, { cause: value });
    }
    return new CabstandError(fallback, String(value), { cause: value });
  }
}

const NO_DESCRIPTOR: ReadonlySet<unknown> = new Set(['EMFILE', 'ENFILE']);

/** Whether the system refused to open something because too much is open. */
export function isOutOfDescriptors(value: unknown): boolean {
  return isErrorLike(value) && 'code' in value && NO_DESCRIPTOR.has(value.code);
}

function outOfDescriptors(cause: unknown): CabstandError {
  return new CabstandError(
    'OUT_OF_DESCRIPTORS',
    'no file descriptor is free: raise the limit of the process (ulimit -n, or LimitNOFILE in systemd)',
    { cause },
  );
}

/** Errors of other realms and DOMExceptions are not `instanceof Error` everywhere. */
function isErrorLike(value: unknown): value is { name: string; message: string } {
  return (
    typeof value === 'object' &&
    value !== null &&
    typeof (value as { message?: unknown }).message === 'string'
  );
}

/** An error of bad input that names the field, its value and what was expected. */
export function invalid(
  reason: Reason,
  field: string,
  value: unknown,
  expected: string,
): CabstandError {
  const shown = show(value);
  return new CabstandError(reason, `${field}: got ${shown}, expected ${expected}`, {
    metadata: { field, value: shown, expected },
  });
}

const LONGEST_SHOWN = 120;

/** A value in an error message: short, on one line. */
export function show(value: unknown): string {
  let text: string;
  // Not all of a long text only to cut it: written out, each of its characters is at least one.
  if (typeof value === 'string') text = JSON.stringify(value.slice(0, LONGEST_SHOWN + 1));
  else if (value === undefined) text = 'nothing';
  else if (typeof value === 'bigint') text = value.toString();
  else if (typeof value === 'function' || typeof value === 'symbol') text = typeof value;
  else text = JSON.stringify(value);
  return text.length > LONGEST_SHOWN ? `${text.slice(0, LONGEST_SHOWN)}…` : text;
}

const MOST_CHARACTERS = 500;

/** A sentence that a caller's input, or an author's code, can make as long as it likes, as far as anybody reads it. */
export function brief(text: string): string {
  return text.slice(0, MOST_CHARACTERS);
}

export function toReason(value: string): Reason {
  return isReason(value) ? value : 'INTERNAL';
}
