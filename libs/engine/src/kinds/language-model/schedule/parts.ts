/** How prompts are divided. */

/** Tokens of a part while nobody waits for others: larger ones are hardly faster. */
export const PART = 64;
/** While answers of others run: they wait as long as it takes. */
export const SMALL_PART = 32;

/**
 * How many of the tokens that are left the next step computes. What is left at the end is not divided further: the
 * sooner an answer begins, the more rows each step has. Never a single token at the end: kernels for one token differ
 * from those for several in the last bits, and a prompt should always be computed alike.
 *
 * @param most tokens of a part that others follow
 */
export function partOf(left: number, most: number = PART): number {
  if (left <= PART) return left;
  return left === most + 1 ? most - 1 : most;
}
