import { invalid } from './errors';

export interface BackoffOptions {
  /** Ceiling of the first delay in milliseconds. Default 100. */
  readonly initialMs?: number;
  /** Ceiling of all delays in milliseconds. Default 5000. */
  readonly maxMs?: number;
  /** Growth per attempt. Default 2. */
  readonly factor?: number;
  /** Source of randomness in [0, 1). Default Math.random. */
  readonly random?: () => number;
}

/**
 * Exponential backoff with full jitter: a uniform draw between 0 and the ceiling of the attempt
 * (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
 */
export function backoffDelay(attempt: number, options: BackoffOptions = {}): number {
  const { initialMs = 100, maxMs = 5000, factor = 2, random = Math.random } = options;
  if (!(initialMs >= 0)) throw invalid('INVALID_ARGUMENT', 'initialMs', initialMs, 'at least 0');
  const ceiling = Math.min(maxMs, initialMs * factor ** Math.max(0, attempt));
  return random() * ceiling;
}
