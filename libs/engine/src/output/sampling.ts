/** Chooses the next token. Draws come from a counter-based generator keyed by (seed, step). */

/** Numbers that compare as scores do: not float16, of which there are only the bits. */
export type Scores = Float32Array | Float64Array;

export interface Sampling {
  /** 0: the most likely token. */
  readonly temperature: number;
  /** Among the k most likely; 0 for all. */
  readonly topK: number;
  readonly seed: number;
}

export function chooseToken(
  scores: Scores,
  offset: number,
  count: number,
  sampling: Sampling,
  step: number,
): number {
  if (sampling.temperature === 0) return mostLikely(scores, offset, count);
  return draw(scores, offset, count, sampling, step);
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
  return best;
}

function draw(
  scores: Scores,
  offset: number,
  count: number,
  { temperature, topK, seed }: Sampling,
  step: number,
): number {
  const ids = topK > 0 && topK < count ? largest(scores, offset, count, topK) : undefined;
  const many = ids?.length ?? count;
  const top = scores[offset + mostLikely(scores, offset, count)] as number;
  const weights = new Float64Array(many);
  let total = 0;
  for (let index = 0; index < many; index += 1) {
    const score = scores[offset + (ids?.[index] ?? index)] as number;
    const weight = Math.exp((score - top) / temperature);
    weights[index] = weight;
    total += weight;
  }
  let left = uniform(seed, step) * total;
  for (let index = 0; index < many; index += 1) {
    left -= weights[index] as number;
    if (left < 0) return ids?.[index] ?? index;
  }
  return mostLikely(scores, offset, count);
}

/** Ids of the k largest scores in order of id; of equal ones the first. */
function largest(scores: Scores, offset: number, count: number, k: number): number[] {
  const ids = Array.from({ length: count }, (_, id) => id);
  const at = (id: number): number => scores[offset + id] as number;
  ids.sort((a, b) => at(b) - at(a) || a - b);
  return ids.slice(0, k).sort((a, b) => a - b);
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
