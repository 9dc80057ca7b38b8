/** Values of neighbours' tensors. */
import type { InputSpec } from '@cabstand/model';
import { DTYPES, arrayOf, float16Bits, numbersOf, tensorOf } from '@cabstand/tensor';
import type { DType, NumericArray, Tensor } from '@cabstand/tensor';

/** Where an input has no range. */
const LARGE = 1e4;
const LARGE_FLOAT16 = 1e3;
/** How far a number is moved, of the range that golden data has. */
const MOVE = 0.1;

/** A tensor like `like`, whose item at each place of the axis is an item of another tensor. */
export function pickValues(
  like: Tensor,
  axis: number,
  choose: (item: number) => { readonly from: Tensor; readonly at: number },
): Tensor {
  const { shape, dtype } = like;
  const count = shape[axis] ?? 1;
  const outer = shape.slice(0, axis).reduce((product, size) => product * size, 1);
  const inner = shape.slice(axis + 1).reduce((product, size) => product * size, 1);
  const picks = Array.from({ length: count }, (_, item) => choose(item));
  if (dtype === 'string') {
    const strings: string[] = [];
    for (let block = 0; block < outer; block += 1)
      for (const { from, at } of picks) {
        const start = (block * (from.shape[axis] ?? 1) + at) * inner;
        strings.push(...(from.strings ?? []).slice(start, start + inner));
      }
    return { ...like, strings };
  }
  const bytes = inner * DTYPES[dtype].bytes;
  const data = new Uint8Array(outer * count * bytes);
  for (let block = 0; block < outer; block += 1)
    picks.forEach(({ from, at }, item) => {
      const start = (block * (from.shape[axis] ?? 1) + at) * bytes;
      data.set(from.data.subarray(start, start + bytes), (block * count + item) * bytes);
    });
  return { ...like, data };
}

/** What an input is known to take: the values of tensors that are valid. */
export class Domain {
  readonly dtype: DType;
  /** Whole numbers only, whatever the dtype: they may be ids or indices. */
  readonly whole: boolean;
  readonly low: number;
  readonly high: number;
  readonly #tensors: readonly Tensor[];
  readonly #elements: readonly NumericArray[];
  #least: number | bigint = 0;
  #most: number | bigint = 0;

  /** @param tensors of one input and one dtype; at least one */
  constructor(dtype: DType, tensors: readonly Tensor[]) {
    this.dtype = dtype;
    this.#tensors = tensors.filter(({ shape }) => !shape.includes(0));
    this.#elements = dtype === 'string' ? [] : this.#tensors.map(arrayOf);
    let [low, high, whole] = [Infinity, -Infinity, true];
    if (dtype !== 'string')
      this.#tensors.forEach((tensor, index) => {
        const numbers = numbersOf(tensor);
        for (let at = 0; at < numbers.length; at += 1) {
          const value = Number(numbers[at]);
          whole &&= Number.isInteger(value);
          if (!Number.isFinite(value)) continue;
          if (value < low) [low, this.#least] = [value, this.#elements[index]?.[at] ?? 0];
          if (value > high) [high, this.#most] = [value, this.#elements[index]?.[at] ?? 0];
        }
      });
    this.whole = whole;
    this.low = low > high ? 0 : low;
    this.high = low > high ? 0 : high;
  }

  /**
   * Numbers moved a little, within the limits of the input; whole numbers are drawn from those that
   * are known.
   */
  perturbed(given: Tensor, spec: InputSpec | undefined, seed: number): Tensor {
    if (this.whole || !isReal(this.dtype)) return this.#drawn(given, seed);
    const move = MOVE * (this.high - this.low || Math.abs(this.high) || 1);
    const random = noise(seed);
    return mapReal(given, (value) => clamp(value + move * (2 * random() - 1), spec));
  }

  /** Whole numbers stay known ones: the least, the largest, or any of them. */
  extreme(
    given: Tensor,
    spec: InputSpec | undefined,
    kind: 'zeros' | 'large' | 'noise',
    seed: number,
  ): Tensor {
    if (this.whole || !isReal(this.dtype)) {
      if (kind === 'noise' || this.dtype === 'string') return this.#drawn(given, seed);
      const value = kind === 'zeros' ? this.#least : this.#most;
      return mapElements(given, () => value);
    }
    const large = this.dtype === 'float16' ? LARGE_FLOAT16 : LARGE;
    const low = spec?.minimum ?? -large;
    const high = spec?.maximum ?? large;
    if (kind === 'zeros') return mapReal(given, () => clamp(0, spec));
    if (kind === 'large')
      return mapReal(given, (_, index) => ((index + seed) % 2 === 0 ? high : low));
    const scale = spec?.minimum === undefined && spec?.maximum === undefined ? 1 / large : 1;
    const random = noise(seed);
    return mapReal(given, () => (low + (high - low) * random()) * scale);
  }

  #drawn(given: Tensor, seed: number): Tensor {
    const random = noise(seed);
    const draw = (count: number): number => Math.floor(random() * count);
    if (this.dtype === 'string') {
      const pool = this.#tensors.flatMap(({ strings }) => strings ?? []);
      const strings = (given.strings ?? []).map((own) => pool[draw(pool.length)] ?? own);
      return { ...given, strings };
    }
    const pools = this.#elements;
    return mapElements(given, (own) => {
      const pool = pools[draw(pools.length)];
      return pool?.[draw(pool.length)] ?? own;
    });
  }
}

/**
 * Numbers of [0, 1) that follow from the seed: Mulberry32 (Tommy Ettinger, public domain). Images have
 * millions of them: a counter-based generator would take longer than the run.
 */
function noise(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function isReal(dtype: DType): boolean {
  return dtype === 'float32' || dtype === 'float64' || dtype === 'float16';
}

function mapReal(given: Tensor, change: (value: number, index: number) => number): Tensor {
  const values = numbersOf(given);
  return mapElements(given, (_, index) => {
    const changed = change(Number(values[index]), index);
    return given.dtype === 'float16' ? float16Bits(changed) : changed;
  });
}

/** @param change from elements as `arrayOf` has them */
function mapElements(
  given: Tensor,
  change: (element: number | bigint, index: number) => number | bigint,
): Tensor {
  const made: NumericArray = arrayOf(given).slice();
  for (let index = 0; index < made.length; index += 1)
    made[index] = change(made[index] as number | bigint, index);
  return tensorOf(given.name, made, given.shape, given.dtype);
}

function clamp(value: number, spec: InputSpec | undefined): number {
  return Math.min(Math.max(value, spec?.minimum ?? -Infinity), spec?.maximum ?? Infinity);
}
