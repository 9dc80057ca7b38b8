/**
 * Chooses the next token as transformers does: divided by the temperature, the k largest, the most likely
 * that come to a probability together, those that are not far less likely than the first, then the typical ones.
 * Draws come from a counter-based generator keyed by (seed, step). Vocabularies are never sorted.
 */
import { CabstandError } from '@cabstand/core';
import { crossing } from './weighted-cut';

/** Numbers that compare as scores do: not float16, of which there are only the bits. */
export type Scores = Float32Array | Float64Array;

export interface Sampling {
  /** 0: the most likely token. */
  readonly temperature: number;
  /** Among the k most likely, and those that are as likely as the last of them; 0 for all. */
  readonly topK: number;
  /** Among the fewest of the most likely that come to this probability together; 1 for all. */
  readonly topP: number;
  /** Among those at least this times as likely as the first; default 0: all. */
  readonly minP?: number;
  /** Among those nearest to the expected information that come to this probability; default 1: all. */
  readonly typicalP?: number;
  readonly seed: number;
}

/** Tokens that may be drawn, in order of their ids, and how likely each is beside the others. */
export interface Candidates {
  /** Undefined: all, in order. */
  readonly ids: readonly number[] | undefined;
  readonly weights: Float64Array;
  readonly total: number;
}

/** @throws CabstandError MODEL_FAILED where the scores are no finite numbers. */
export function chooseToken(
  scores: Scores,
  offset: number,
  count: number,
  sampling: Sampling,
  step: number,
): number {
  if (sampling.temperature === 0) return mostLikely(scores, offset, count);
  const { ids, weights, total } = candidates(scores, offset, count, sampling);
  let left = uniform(sampling.seed, step) * total;
  for (let index = 0; index < weights.length; index += 1) {
    left -= weights[index] as number;
    if (left < 0) return ids?.[index] ?? index;
  }
  return mostLikely(scores, offset, count);
}

/** Of equal scores the first. */
function mostLikely(scores: Scores, offset: number, count: number): number {
  let best = 0;
  let bestScore = -Infinity;
  for (let index = 0; index < count; index += 1) {
    const score = scores[offset + index] as number;
    if (score > bestScore) {
      best = index;
      bestScore = score;
    }
  }
  // All of them are NaN or -Infinity, or one is Infinity.
  if (!Number.isFinite(bestScore)) throw notFinite(scores[offset + best]);
  return best;
}

function notFinite(score: number | undefined): CabstandError {
  return new CabstandError(
    'MODEL_FAILED',
    `the scores of the next token are no finite numbers: ${score} is among them`,
  );
}

export function candidates(
  scores: Scores,
  offset: number,
  count: number,
  { temperature, topK, topP, minP = 0, typicalP = 1 }: Omit<Sampling, 'seed'>,
): Candidates {
  const top = scores[offset + mostLikely(scores, offset, count)] as number;
  const least = topK > 0 && topK < count ? largest(scores, offset, count, topK) : -Infinity;
  const weights = new Float64Array(count);
  let total = 0;
  for (let id = 0; id < count; id += 1) {
    const score = scores[offset + id] as number;
    if (score < least) continue;
    const weight = Math.exp((score - top) / temperature);
    weights[id] = weight;
    total += weight;
  }
  if (!Number.isFinite(total)) throw notFinite(NaN);
  if (least === -Infinity && topP >= 1 && minP <= 0 && typicalP >= 1)
    return { ids: undefined, weights, total };
  let kept = chosen(
    weights,
    (weight, id) => weight > 0 && (scores[offset + id] as number) >= least,
  );
  if (topP < 1) kept = nucleus(kept, weights, total, topP);
  if (minP > 0) kept = kept.filter((id) => (weights[id] as number) >= minP);
  if (typicalP < 1) kept = typical(kept, weights, typicalP);
  const ids = Array.from(kept);
  const those = Float64Array.from(ids, (id) => weights[id] as number);
  return { ids, weights: those, total: sumOf(those) };
}

const sumOf = (numbers: Float64Array): number => numbers.reduce((sum, one) => sum + one, 0);

function chosen(weights: Float64Array, keep: (weight: number, id: number) => boolean): Uint32Array {
  const ids = new Uint32Array(weights.length);
  let count = 0;
  for (let id = 0; id < weights.length; id += 1)
    if (keep(weights[id] as number, id)) ids[count++] = id;
  return ids.subarray(0, count);
}

/** Without the least likely that together come to no more than 1 - topP; one at least is left. */
function nucleus(
  ids: Uint32Array,
  weights: Float64Array,
  total: number,
  topP: number,
): Uint32Array {
  const weightOf = (id: number): number => weights[id] as number;
  const first = crossing(ids, weightOf, weightOf, (dropped) => dropped > (1 - topP) * total);
  const least = weightOf(first);
  return ids.filter((id) => weightOf(id) > least || (weightOf(id) === least && id >= first));
}

/** Those whose information, -log p, is nearest to what is expected, and that come to this probability. */
function typical(ids: Uint32Array, weights: Float64Array, mass: number): Uint32Array {
  const total = sumOf(Float64Array.from(ids, (id) => weights[id] as number));
  const information = (id: number): number => Math.log(total) - Math.log(weights[id] as number);
  let expected = 0;
  for (const id of ids) expected += ((weights[id] as number) / total) * information(id);
  const distances = new Float64Array(weights.length);
  for (const id of ids) distances[id] = Math.abs(information(id) - expected);
  const distanceOf = (id: number): number => distances[id] as number;
  const weightOf = (id: number): number => weights[id] as number;
  const last = crossing(ids, distanceOf, weightOf, (kept) => kept >= mass * total);
  return ids.filter((id) => distanceOf(id) <= distanceOf(last));
}

/** The k-th largest score, by a heap of the k largest so far. */
function largest(scores: Scores, offset: number, count: number, k: number): number {
  const heap = new Float64Array(k).fill(-Infinity);
  for (let index = 0; index < count; index += 1) {
    const score = scores[offset + index] as number;
    if (!(score > (heap[0] as number))) continue;
    // It takes the place of the smallest, and sinks to where it belongs.
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child + 1 < k && (heap[child + 1] as number) < (heap[child] as number)) child += 1;
      if (child >= k || (heap[child] as number) >= score) break;
      heap[at] = heap[child] as number;
      at = child;
    }
    heap[at] = score;
  }
  return heap[0] as number;
}

/** A number of [0, 1) with 53 random bits, a function of seed and step alone. */
export function uniform(seed: number, step: number): number {
  const high = Math.floor(seed / 2 ** 32) >>> 0;
  const [a, b] = philox(step >>> 0, high, seed >>> 0);
  return (a * 2 ** 21 + (b >>> 11)) / 2 ** 53;
}

/** Philox 2x32 with ten rounds (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011). */
export function philox(counter0: number, counter1: number, key: number): [number, number] {
  let left = counter0;
  let right = counter1;
  let round = key;
  for (let index = 0; index < 10; index += 1) {
    const low = Math.imul(left, 0xd256d193) >>> 0;
    const high = multiplyHigh(left, 0xd256d193);
    left = (high ^ round ^ right) >>> 0;
    right = low;
    round = (round + 0x9e3779b9) >>> 0;
  }
  return [left, right];
}

/** Upper 32 bits of the product of two unsigned 32-bit numbers. */
function multiplyHigh(a: number, b: number): number {
  const a0 = a & 0xffff;
  const a1 = a >>> 16;
  const b0 = b & 0xffff;
  const b1 = b >>> 16;
  const middle = a1 * b0 + ((a0 * b0) >>> 16);
  const carry = a0 * b1 + (middle & 0xffff);
  return (a1 * b1 + Math.floor(middle / 0x10000) + Math.floor(carry / 0x10000)) >>> 0;
}
