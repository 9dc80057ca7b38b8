import type { CabstandError, CodeName, Reason } from '@cabstand/core';

/** https://cloud.google.com/apis/design/errors, where gRPC codes have their HTTP statuses. */
const STATUSES: Readonly<Record<CodeName, number>> = {
  OK: 200,
  CANCELLED: 499,
  UNKNOWN: 500,
  INVALID_ARGUMENT: 400,
  DEADLINE_EXCEEDED: 504,
  NOT_FOUND: 404,
  ALREADY_EXISTS: 409,
  PERMISSION_DENIED: 403,
  RESOURCE_EXHAUSTED: 429,
  FAILED_PRECONDITION: 400,
  ABORTED: 409,
  OUT_OF_RANGE: 400,
  UNIMPLEMENTED: 501,
  INTERNAL: 500,
  UNAVAILABLE: 503,
  DATA_LOSS: 500,
  UNAUTHENTICATED: 401,
};

/** Reasons for which HTTP has a better word than the code's. */
const OWN: Partial<Readonly<Record<Reason, number>>> = {
  MESSAGE_TOO_LARGE: 413,
  // The same request is right once the other one is through.
  SESSION_BUSY: 409,
};

export function httpStatus({ reason, code }: CabstandError): number {
  return OWN[reason] ?? STATUSES[code];
}

/** Headers that say what a caller can do about it. */
export function errorHeaders(error: CabstandError): Readonly<Record<string, string>> {
  const { retryAfterMs } = error;
  return {
    ...(httpStatus(error) === 401 ? { 'www-authenticate': 'Bearer' } : {}),
    ...(retryAfterMs === undefined
      ? {}
      : { 'retry-after': String(Math.ceil(retryAfterMs / 1000)) }),
  };
}
