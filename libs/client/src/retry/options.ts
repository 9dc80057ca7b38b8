import type { NamesOf } from '@cabstand/core';
import { checkNumber } from '../checks';

export interface RetryOptions {
  /** Hosters tried for one turn before its first record, the first one included. Default 6. */
  readonly attempts?: number;
  /** Ceiling of the first pause in milliseconds; pauses are drawn between 0 and theirs. Default 50. */
  readonly initialMs?: number;
  /** Ceiling of all pauses in milliseconds; a hoster that asks for longer gets it. Default 2000. */
  readonly maxMs?: number;
  /** Retries that may be saved up, over all sessions of the manager. Default 100. */
  readonly budget?: number;
  /** Retries gained a second. Default 10. */
  readonly budgetPerSecond?: number;
  /** Retries gained with each turn that started. Default 0.2. */
  readonly budgetPerSuccess?: number;
}

export const RETRY_NAMES = {
  attempts: true,
  initialMs: true,
  maxMs: true,
  budget: true,
  budgetPerSecond: true,
  budgetPerSuccess: true,
} satisfies NamesOf<RetryOptions>;

export type RetrySettings = Required<RetryOptions>;

export function withRetryDefaults(options: RetryOptions = {}): RetrySettings {
  return {
    attempts: checkNumber('retry.attempts', options.attempts ?? 6, 1, { whole: true }),
    initialMs: checkNumber('retry.initialMs', options.initialMs ?? 50, 0),
    maxMs: checkNumber('retry.maxMs', options.maxMs ?? 2_000, 0),
    budget: checkNumber('retry.budget', options.budget ?? 100, 0),
    budgetPerSecond: checkNumber('retry.budgetPerSecond', options.budgetPerSecond ?? 10, 0),
    budgetPerSuccess: checkNumber('retry.budgetPerSuccess', options.budgetPerSuccess ?? 0.2, 0),
  };
}
