/** What authors hand over as JSON has bounds. */
import { invalid } from '@cabstand/core';

/**
 * A value as JSON; `undefined` becomes `null`.
 *
 * @param what names it: `message speech`, say
 * @param most bytes of UTF-8
 * @throws CabstandError MODULE_FAILED for what is too large, or is nothing that JSON can hold
 */
export function jsonOf(what: string, value: unknown, most: number): string {
  let json: unknown;
  try {
    json = value === undefined ? 'null' : JSON.stringify(value);
  } catch (error) {
    throw invalid('MODULE_FAILED', what, error instanceof Error ? error.message : error, 'JSON');
  }
  // Of a function, say, nothing is left; the type does not tell.
  if (typeof json !== 'string')
    throw invalid('MODULE_FAILED', what, value, 'a value that JSON can hold');
  const bytes = Buffer.byteLength(json);
  if (bytes > most)
    throw invalid('MODULE_FAILED', what, `${bytes} bytes of JSON`, `at most ${most} bytes`);
  return json;
}
