/** How prompts are divided. */

/** Tokens of a part while nobody waits for others: larger ones are hardly faster. */
export const PART = 64;
/** While answers of others run: they wait as long as it takes. */
export const SMALL_PART = 32;

/**
 * How many of the tokens that are left the next step computes. Never a single one at the end: kernels for
 * one token differ from those for several in the last bits, and a prompt should always be computed alike.
 */
export function partOf(left: number, most: number = PART): number {
  if (left <= most) return left;
  return left === most + 1 ? most - 1 : most;
}
