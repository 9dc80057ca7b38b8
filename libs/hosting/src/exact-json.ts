import { invalid } from '@cabstand/core';

/** Strings, the names of members with their colon, and numbers, each whole. */
const TOKENS = /"((?:[^"\\]|\\.)*)"(?=\s*(:?))|-?\d[\d.eE+-]*/g;
const INTEGER = /^-?\d+$/;

/**
 * Throws PARAMETER_INVALID for a whole number in JSON that is none of JavaScript's: parsing would give one
 * of its neighbours, and nobody could tell.
 *
 * @param json of an object; well-formed
 */
export function refuseInexact(json: string): void {
  let name = '';
  for (const [token, text, colon] of json.matchAll(TOKENS)) {
    if (text === undefined) {
      if (!INTEGER.test(token)) continue;
      const sent = BigInt(token);
      if (BigInt(Number(token)) !== sent)
        throw invalid(
          'PARAMETER_INVALID',
          `parameter ${name}`,
          sent,
          `${Number.MAX_SAFE_INTEGER} at most as a number; beyond that, decimal text ("…")`,
        );
    } else if (colon === ':') name = text;
  }
}
