/** The numbers that an element of an input may be. */
import { float16Bits, float16Numbers } from '@cabstand/tensor';
import type { DType } from '@cabstand/tensor';
import type { InputSpec } from '../manifest/signature';

export interface Range {
  /** Empty where it is above `high`. */
  readonly low: number;
  readonly high: number;
}

/** Smallest and largest of a dtype, as far as a float64 can say it. */
const LIMITS: Readonly<Record<Exclude<DType, 'string'>, Range>> = {
  float16: { low: -65504, high: 65504 },
  float32: { low: -3.4028234663852886e38, high: 3.4028234663852886e38 },
  float64: { low: -Number.MAX_VALUE, high: Number.MAX_VALUE },
  int8: { low: -(2 ** 7), high: 2 ** 7 - 1 },
  int16: { low: -(2 ** 15), high: 2 ** 15 - 1 },
  int32: { low: -(2 ** 31), high: 2 ** 31 - 1 },
  int64: { low: -(2 ** 63), high: 2 ** 63 - 1024 },
  uint8: { low: 0, high: 2 ** 8 - 1 },
  uint16: { low: 0, high: 2 ** 16 - 1 },
  uint32: { low: 0, high: 2 ** 32 - 1 },
  uint64: { low: 0, high: 2 ** 64 - 2048 },
  bool: { low: 0, high: 1 },
};

export function isFloat(dtype: DType): boolean {
  return dtype === 'float16' || dtype === 'float32' || dtype === 'float64';
}

/** What the dtype has of minimum … maximum: both ends are numbers of the dtype. */
export function rangeOf({ dtype, minimum, maximum }: InputSpec): Range {
  const limits = LIMITS[dtype === 'string' ? 'bool' : dtype];
  const low = Math.max(minimum ?? -Infinity, limits.low);
  const high = Math.min(maximum ?? Infinity, limits.high);
  if (!isFloat(dtype)) return { low: Math.ceil(low), high: Math.floor(high) };
  // Rounding never passes a number of the dtype: between two of them every value stays there.
  return { low: inward(dtype, low, 1), high: inward(dtype, high, -1) };
}

/** The number of the dtype nearest to `value` that lies on the given side of it, or is it. */
function inward(dtype: DType, value: number, side: 1 | -1): number {
  const rounded = round(dtype, value);
  if (rounded === value || Math.sign(rounded - value) === side) return rounded;
  // An upper bound on the distance to the neighbour, at normal and subnormal numbers.
  const step =
    dtype === 'float16'
      ? Math.max(Math.abs(value) * 2 ** -10, 2 ** -24)
      : Math.max(Math.abs(value) * 2 ** -23, 2 ** -149);
  return round(dtype, rounded + side * step);
}

function round(dtype: DType, value: number): number {
  if (dtype === 'float32') return Math.fround(value);
  if (dtype === 'float64') return value;
  return float16Numbers(Uint16Array.of(float16Bits(value)))[0] ?? 0;
}
