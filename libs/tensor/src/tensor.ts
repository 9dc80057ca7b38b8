import { CabstandError, invalid } from '@cabstand/core';
import { DTYPES } from './dtype';
import type { DType, NumericArray } from './dtype';

/** A dense row-major tensor. `data` holds raw little-endian elements; a string tensor has `strings`. */
export interface Tensor {
  readonly name: string;
  readonly dtype: DType;
  /** Sizes of all dimensions; empty for a scalar. A size of 0 makes a tensor without elements. */
  readonly shape: readonly number[];
  readonly data: Uint8Array;
  readonly strings?: readonly string[];
}

export const MAX_RANK = 8;

/** A size that a dimension can have: a whole number from 0 on. */
export function isSize(size: unknown): size is number {
  return typeof size === 'number' && Number.isSafeInteger(size) && size >= 0;
}

/** Number of elements of a shape (1 for a scalar). */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/**
 * Makes a tensor that shares the array's memory.
 *
 * @param dtype needed where the array does not tell: float16 and bool.
 * @param shape default: one dimension of the array's length.
 */
export function tensorOf(
  name: string,
  array: NumericArray,
  shape: readonly number[] = [array.length],
  dtype: DType = dtypeOf(array),
): Tensor {
  checkCount(name, array.length, shape);
  return {
    name,
    dtype,
    shape,
    data: new Uint8Array(array.buffer, array.byteOffset, array.byteLength),
  };
}

export function stringTensor(
  name: string,
  strings: readonly string[],
  shape: readonly number[] = [strings.length],
): Tensor {
  checkCount(name, strings.length, shape);
  return { name, dtype: 'string', shape, data: new Uint8Array(0), strings };
}

function checkCount(name: string, count: number, shape: readonly number[]): void {
  if (!shape.every(isSize))
    throw invalid('INPUT_SHAPE', `tensor ${name} shape`, shape, 'sizes of at least 0');
  if (elementCount(shape) === count) return;
  throw invalid(
    'INPUT_BYTES',
    `tensor ${name}`,
    count,
    `${elementCount(shape)} elements for shape [${shape.join(', ')}]`,
  );
}

function dtypeOf(array: NumericArray): DType {
  for (const [name, row] of Object.entries(DTYPES))
    if (row.array !== undefined && array instanceof row.array) return name as DType;
  throw new CabstandError('INPUT_DTYPE', `no dtype for ${array.constructor.name}`);
}

/**
 * The elements as a typed array: a view where the bytes are aligned, otherwise a copy. float16 gives
 * its bits as a Uint16Array; `numbersOf` gives its numbers.
 */
export function arrayOf(tensor: Tensor): NumericArray {
  const { array: View, bytes } = DTYPES[tensor.dtype];
  if (View === undefined)
    throw new CabstandError('INPUT_DTYPE', `tensor ${tensor.name} holds strings, not numbers`);
  const { data } = tensor;
  if (data.byteLength % bytes !== 0)
    throw invalid(
      'INPUT_BYTES',
      `tensor ${tensor.name}`,
      data.byteLength,
      `a multiple of ${bytes} bytes`,
    );
  // Not slice(): that of a Buffer shares its memory.
  const aligned = data.byteOffset % bytes === 0 ? data : new Uint8Array(data);
  return new View(aligned.buffer, aligned.byteOffset, data.byteLength / bytes);
}

/** The elements of a float32 tensor. */
export function float32Of(tensor: Tensor): Float32Array {
  const array = arrayOf(tensor);
  if (array instanceof Float32Array) return array;
  throw invalid('INPUT_DTYPE', `tensor ${tensor.name}`, tensor.dtype, 'float32');
}
