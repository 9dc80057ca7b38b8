import type { SwapList } from '../registry/swap-list';

/** Lists up to this length are drawn from by shuffling, longer ones by random tries. */
const SHORT = 16;
const TRIES_PER_WANTED = 4;

/**
 * Up to `wanted` different items that pass, in random order. At most `rejectable` items of the list
 * fail to pass: the cost is bounded by that and `wanted`, never by the length of the list, and
 * nothing is missed: if any item passes, at least one comes out.
 */
export function draw<T extends object>(
  list: SwapList<T>,
  wanted: number,
  passes: (item: T) => boolean,
  rejectable: number,
  random: () => number,
): T[] {
  const { length } = list;
  if (length === 0 || wanted < 1) return [];
  if (length <= SHORT) return drawShort(list, wanted, passes, random);
  const picked: T[] = [];
  for (let tries = wanted * TRIES_PER_WANTED; tries > 0 && picked.length < wanted; tries--) {
    const item = list.at(Math.floor(random() * length));
    if (item !== undefined && !picked.includes(item) && passes(item)) picked.push(item);
  }
  if (picked.length > 0) return picked;
  // The lists exclude most: walk, from a random place. After `rejectable` failures the rest passes.
  const start = Math.floor(random() * length);
  const most = Math.min(length, rejectable + wanted);
  for (let i = 0; i < most && picked.length < wanted; i++) {
    const item = list.at((start + i) % length);
    if (item !== undefined && passes(item)) picked.push(item);
  }
  return picked;
}

function drawShort<T extends object>(
  list: SwapList<T>,
  wanted: number,
  passes: (item: T) => boolean,
  random: () => number,
): T[] {
  const items = [...list];
  const picked: T[] = [];
  for (let left = items.length; left > 0 && picked.length < wanted; left--) {
    const at = Math.floor(random() * left);
    const item = items[at] as T;
    items[at] = items[left - 1] as T;
    if (passes(item)) picked.push(item);
  }
  return picked;
}
