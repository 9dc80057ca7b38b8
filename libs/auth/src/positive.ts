import { invalid } from '@cabstand/core';

/** A limit of the options. Throws INVALID_ARGUMENT. */
export function positive(option: string, value: number): number {
  if (!Number.isInteger(value) || value < 1)
    throw invalid('INVALID_ARGUMENT', option, value, 'a whole number of at least 1');
  return value;
}
