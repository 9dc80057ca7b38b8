/** Where the weights of ids, taken by their keys, come to a sum: found by selection, without sorting all. */

/** So few are sorted. */
const FEW = 32;

/**
 * Goes through ids by key, and of equal keys by id, both ascending, and adds up their weights. Answers the first id
 * with which `over` holds of the sum; the last id where it holds of none.
 *
 * @param ids at least one; they are left as they are
 */
export function crossing(
  ids: Uint32Array,
  keyOf: (id: number) => number,
  weightOf: (id: number) => number,
  over: (sum: number) => boolean,
): number {
  let left = ids;
  let before = 0;
  while (left.length > FEW) {
    const pivot = middle(left, keyOf);
    const lower = left.filter((id) => keyOf(id) < pivot);
    const withLower = sum(lower, weightOf, before);
    if (over(withLower)) {
      left = lower;
      continue;
    }
    const equal = left.filter((id) => keyOf(id) === pivot);
    const withEqual = sum(equal, weightOf, withLower);
    const higher = left.filter((id) => keyOf(id) > pivot);
    // Equal ones are in the order of their ids already.
    if (over(withEqual) || higher.length === 0) return firstOver(equal, weightOf, withLower, over);
    before = withEqual;
    left = higher;
  }
  const sorted = left.slice().sort((a, b) => keyOf(a) - keyOf(b) || a - b);
  return firstOver(sorted, weightOf, before, over);
}

function firstOver(
  ids: Uint32Array,
  weightOf: (id: number) => number,
  before: number,
  over: (sum: number) => boolean,
): number {
  let total = before;
  for (const id of ids) {
    total += weightOf(id);
    if (over(total)) return id;
  }
  return ids.at(-1) ?? 0;
}

function sum(ids: Uint32Array, weightOf: (id: number) => number, before: number): number {
  let total = before;
  for (const id of ids) total += weightOf(id);
  return total;
}

/** The middle one of the keys of the first, the middle and the last id: a key that is there. */
function middle(ids: Uint32Array, keyOf: (id: number) => number): number {
  const [first, inner, last] = [0, ids.length >> 1, ids.length - 1].map((at) =>
    keyOf(ids[at] as number),
  ) as [number, number, number];
  return Math.max(Math.min(first, inner), Math.min(Math.max(first, inner), last));
}
