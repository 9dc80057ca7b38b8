/**
 * Elements of numeric tensors in JSON. Numbers, but a bool is true or false, and what a JSON number
 * cannot hold is text: integers beyond 2^53 in decimal, "NaN", "Infinity" and "-Infinity".
 */
import { f16round } from '@petamoriken/float16';
import type { DType } from './dtype';
import { numbersOf } from './numbers';
import type { Tensor } from './tensor';

export type JsonElement = number | boolean | string;

type Range = readonly [low: bigint, high: bigint];
const signed = (bits: bigint): Range => [-(2n ** (bits - 1n)), 2n ** (bits - 1n) - 1n];
const unsigned = (bits: bigint): Range => [0n, 2n ** bits - 1n];

const INTEGERS: Partial<Record<DType, Range>> = {
  int8: signed(8n),
  int16: signed(16n),
  int32: signed(32n),
  int64: signed(64n),
  uint8: unsigned(8n),
  uint16: unsigned(16n),
  uint32: unsigned(32n),
  uint64: unsigned(64n),
};

/** As many digits as 2^64 has: longer text is not converted. */
const DECIMAL = /^-?\d{1,20}$/;

/**
 * The element that a JSON value stands for, not yet rounded to its dtype; undefined where the dtype
 * has no such element (`expectedElement` says what it has). A bool gives 0 or 1.
 */
export function readElement(dtype: DType, value: unknown): number | bigint | undefined {
  if (dtype === 'string') return undefined;
  if (dtype === 'bool') {
    if (value === true || value === 1) return 1;
    return value === false || value === 0 ? 0 : undefined;
  }
  const range = INTEGERS[dtype];
  return range === undefined ? readFloat(dtype, value) : readInteger(range, value);
}

/** What a JSON value of a dtype must be, for errors. */
export function expectedElement(dtype: DType): string {
  if (dtype === 'string') return 'text';
  if (dtype === 'bool') return 'true or false';
  const range = INTEGERS[dtype];
  if (range === undefined) return `a number that fits ${dtype}`;
  const [low, high] = range;
  const text =
    high > Number.MAX_SAFE_INTEGER ? `, as text ("…") beyond ${Number.MAX_SAFE_INTEGER}` : '';
  return `a whole number from ${low} to ${high}${text}`;
}

/** An element of `numbersOf` in JSON. */
export function elementToJson(dtype: DType, value: number | bigint): JsonElement {
  if (dtype === 'bool') return Boolean(value);
  if (typeof value === 'number') return Number.isFinite(value) ? value : String(value);
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : String(value);
}

/** All elements in JSON; those of a string tensor as they are. */
export function jsonElements(tensor: Tensor): readonly JsonElement[] {
  if (tensor.dtype === 'string') return tensor.strings ?? [];
  return Array.from<number | bigint, JsonElement>(numbersOf(tensor), (value) =>
    elementToJson(tensor.dtype, value),
  );
}

function readInteger([low, high]: Range, value: unknown): number | bigint | undefined {
  if (typeof value === 'string') {
    const whole = DECIMAL.test(value) ? BigInt(value) : undefined;
    return whole !== undefined && whole >= low && whole <= high ? whole : undefined;
  }
  // Beyond 2^53 a JSON number has lost its last digits when it arrives here.
  if (typeof value !== 'number' || !Number.isSafeInteger(value)) return undefined;
  return value >= low && value <= high ? value : undefined;
}

function readFloat(dtype: DType, value: unknown): number | undefined {
  if (value === 'NaN') return NaN;
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  if (typeof number !== 'number' || Number.isNaN(number)) return undefined;
  const rounded =
    dtype === 'float16' ? f16round(number) : dtype === 'float32' ? Math.fround(number) : number;
  return Number.isFinite(number) && !Number.isFinite(rounded) ? undefined : number;
}
