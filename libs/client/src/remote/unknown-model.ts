import { CabstandError, nearest } from '@cabstand/core';

const MOST_LISTED = 20;

/** MODEL_UNKNOWN with the models that there are, and the one that was meant, perhaps. */
export function listingModels(error: CabstandError, models: readonly string[]): CabstandError {
  const names = [...new Set(models)].filter((name) => name !== '').sort();
  const listed = names.slice(0, MOST_LISTED).join(', ');
  if (names.length === 0 || error.message.includes(listed)) return error;
  const guess = nearest(error.metadata['model'] ?? '', names);
  const more = names.length > MOST_LISTED ? ` and ${names.length - MOST_LISTED} more` : '';
  return new CabstandError(
    error.reason,
    `${error.message}; there are ${listed}${more}${guess === undefined ? '' : `; did you mean ${guess}?`}`,
    { metadata: { ...error.metadata, models: listed }, cause: error },
  );
}
