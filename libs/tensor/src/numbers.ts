/** Elements as numbers, whatever their dtype. */
import { CabstandError } from '@cabstand/core';
import { DTYPES } from './dtype';
import type { DType, NumericArray } from './dtype';
import { float16Bits, float16Numbers } from './float16';
import { arrayOf, tensorOf } from './tensor';
import type { Tensor } from './tensor';

/** What an element can be made from; decimal text for 64-bit integers beyond 2^53. */
export type ElementValue = number | bigint | boolean | string;

/**
 * The elements as numbers: those of `arrayOf`, except that float16 gives its numbers as a
 * Float32Array. 64-bit integers stay bigint, a bool is 0 or 1.
 */
export function numbersOf(tensor: Tensor): NumericArray {
  const array = arrayOf(tensor);
  return tensor.dtype === 'float16' && array instanceof Uint16Array ? float16Numbers(array) : array;
}

/**
 * What a typed array of the dtype holds for a value: float16 its bits, int64 and uint64 a bigint
 * (cut to a whole number), all others the number. Does not check the range.
 */
export function fillValue(dtype: DType, value: ElementValue): number | bigint {
  switch (dtype) {
    case 'float16':
      return float16Bits(Number(value));
    case 'int64':
    case 'uint64':
      return BigInt(typeof value === 'number' ? Math.trunc(value) : value);
    default:
      return Number(value);
  }
}

/** A new array of `count` elements, each made from the value at its place. */
export function arrayFrom(
  dtype: DType,
  count: number,
  valueAt: (index: number) => ElementValue,
): NumericArray {
  const { array: View, bytes } = DTYPES[dtype];
  if (View === undefined)
    throw new CabstandError('INPUT_DTYPE', `${dtype} has no array of numbers`);
  const array = new View(new ArrayBuffer(count * bytes), 0, count);
  for (let index = 0; index < count; index += 1) array[index] = fillValue(dtype, valueAt(index));
  return array;
}

/**
 * Makes a tensor of any dtype but string from a list of values, converted to the dtype.
 *
 * @param shape default: one dimension of the list's length.
 */
export function tensorFrom(
  name: string,
  dtype: DType,
  values: readonly ElementValue[],
  shape: readonly number[] = [values.length],
): Tensor {
  const array = arrayFrom(dtype, values.length, (index) => values[index] ?? 0);
  return tensorOf(name, array, shape, dtype);
}
