/** Results against each other: as numbers for a tolerance, and bit by bit. */
import { DTYPES, arrayOf, float16Numbers } from '@cabstand/tensor';
import type { NumericArray, Tensor } from '@cabstand/tensor';

/** Numbers agree where |a - b| <= atol + rtol * |b|. */
export interface Limits {
  readonly atol: number;
  readonly rtol: number;
}

export interface Difference {
  /** Equal bit by bit; NaNs are one and the same. */
  readonly equal: boolean;
  /** Of the worst element: |a - b| / (atol + rtol * |b|). Above 1 it is too far off. */
  readonly ratio: number;
  /** Of the same: |a - b| / max(1, |b|). */
  readonly error: number;
  /** Its indices, as "[0, 3]"; empty where the tensors cannot be compared at all. */
  readonly place: string;
  readonly got: string;
  readonly expected: string;
}

export const EQUAL: Difference = {
  equal: true,
  ratio: 0,
  error: 0,
  place: '',
  got: '',
  expected: '',
};

/** Nothing can be farther apart. */
export function incomparable(got: string, expected: string): Difference {
  return { equal: false, ratio: Infinity, error: Infinity, place: '', got, expected };
}

/** Dtypes and shapes must be the same; strings and booleans, too. */
export function compareTensors(got: Tensor, expected: Tensor, limits: Limits): Difference {
  const shapes = got.shape.join(',') === expected.shape.join(',');
  if (got.dtype !== expected.dtype || !shapes)
    return incomparable(describe(got), describe(expected));
  if (got.dtype === 'string')
    return compareExactly(got.strings ?? [], expected.strings ?? [], got.shape);
  if (sameBytes(got.data, expected.data)) return EQUAL;
  const [a, b] = [arrayOf(got), arrayOf(expected)];
  if (got.dtype === 'bool') return compareExactly([...a], [...b], got.shape);
  if (a instanceof Uint16Array && b instanceof Uint16Array && got.dtype === 'float16')
    return compareNumbers(float16Numbers(a), float16Numbers(b), limits, got.shape);
  return compareNumbers(a, b, limits, got.shape);
}

/** The worse of two; equal only if both are. */
export function worse<T extends Difference>(a: T, b: T): T {
  const worst = b.ratio > a.ratio || (b.ratio === a.ratio && a.equal) ? b : a;
  return worst.equal === (a.equal && b.equal) ? worst : { ...worst, equal: false };
}

/** Within the limits that it was compared by. */
export function within({ ratio }: Difference): boolean {
  return ratio <= 1;
}

function compareNumbers(
  got: NumericArray,
  expected: NumericArray,
  limits: Limits,
  shape: readonly number[],
): Difference {
  let equal = true;
  let worst = -1;
  let worstRatio = 0;
  for (let index = 0; index < expected.length; index += 1) {
    const a = got[index] as number | bigint;
    const b = expected[index] as number | bigint;
    if (Object.is(a, b)) continue;
    equal = false;
    const ratio = ratioOf(a, b, limits);
    if (worst >= 0 && ratio <= worstRatio) continue;
    worst = index;
    worstRatio = ratio;
  }
  if (worst < 0) return { ...EQUAL, equal };
  const a = got[worst] as number | bigint;
  const b = expected[worst] as number | bigint;
  const error = distance(a, b) / Math.max(1, Math.abs(Number(b)));
  return {
    equal,
    ratio: worstRatio,
    error: Number.isNaN(error) ? Infinity : error,
    place: placeOf(worst, shape),
    got: String(a),
    expected: String(b),
  };
}

function ratioOf(a: number | bigint, b: number | bigint, { atol, rtol }: Limits): number {
  const apart = distance(a, b);
  if (apart === 0) return 0;
  // A NaN or an infinity that the other is not.
  if (!Number.isFinite(apart)) return Infinity;
  return apart / (atol + rtol * Math.abs(Number(b)));
}

/** Of 64-bit integers exactly, before it becomes a number. */
function distance(a: number | bigint, b: number | bigint): number {
  if (typeof a === 'bigint' && typeof b === 'bigint') return Number(a < b ? b - a : a - b);
  return Math.abs(Number(a) - Number(b));
}

function compareExactly<T extends string | number | bigint>(
  got: readonly T[],
  expected: readonly T[],
  shape: readonly number[],
): Difference {
  const index = expected.findIndex((one, at) => got[at] !== one);
  if (index < 0 && got.length === expected.length) return EQUAL;
  const at = Math.max(0, index);
  const show = (one: T | undefined): string =>
    one === undefined ? 'nothing' : typeof one === 'string' ? JSON.stringify(one) : String(one);
  return { ...incomparable(show(got[at]), show(expected[at])), place: placeOf(at, shape) };
}

function placeOf(index: number, shape: readonly number[]): string {
  const place: number[] = [];
  let left = index;
  for (const size of shape.toReversed()) {
    place.unshift(left % size);
    left = Math.floor(left / size);
  }
  return `[${place.join(', ')}]`;
}

function describe({ dtype, shape }: Tensor): string {
  return `${dtype in DTYPES ? dtype : 'unknown'} [${shape.join(', ')}]`;
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
