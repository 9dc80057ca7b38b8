/** Finds NaN, infinities and values out of range without allocating for them. */
import { invalid } from '@cabstand/core';
import { DTYPES, arrayOf, float16Numbers } from '@cabstand/tensor';
import type { DType, NumericArray, Tensor } from '@cabstand/tensor';
import type { InputSpec } from './signature';

/** Values that do not lie aligned are looked at here, as many at a time as it holds. */
const SCRATCH = new Uint8Array(16 * 1024);
const FLOAT16 = new Float32Array(SCRATCH.length / 2);

/** Throws INPUT_TEXT for what ONNX Runtime would cut: it takes strings up to the first NUL. */
export function scanStrings(strings: readonly string[], field: string): void {
  const index = strings.findIndex((text) => text.includes('\0'));
  if (index >= 0)
    throw invalid('INPUT_TEXT', `${field} element ${index}`, strings[index], 'text without NUL');
}

/**
 * Throws INPUT_NOT_FINITE or INPUT_OUT_OF_RANGE naming the element.
 *
 * @param first number of the tensor's first element where it is a part of another.
 */
export function scanValues(input: InputSpec, tensor: Tensor, field: string, first = 0): void {
  const { dtype } = tensor;
  if (dtype === 'bool') {
    scanRange(tensor.data, 0, 1, field, first);
    return;
  }
  const { data } = tensor;
  const { bytes } = DTYPES[dtype];
  if (dtype !== 'float16' && data.byteOffset % bytes === 0) {
    scanNumbers(input, dtype, arrayOf(tensor), field, first);
    return;
  }
  for (let at = 0; at < data.byteLength; at += SCRATCH.length) {
    // In a message values lie as they come.
    const part = data.subarray(at, at + SCRATCH.length);
    SCRATCH.set(part);
    const values = arrayOf({ ...tensor, data: SCRATCH.subarray(0, part.byteLength) });
    const numbers =
      values instanceof Uint16Array && dtype === 'float16' ? float16Of(values) : values;
    scanNumbers(input, dtype, numbers, field, first + at / bytes);
  }
}

function float16Of(bits: Uint16Array): Float32Array {
  return float16Numbers(bits, FLOAT16.subarray(0, bits.length));
}

function scanNumbers(
  input: InputSpec,
  dtype: DType,
  values: NumericArray,
  field: string,
  first: number,
): void {
  const { minimum, maximum } = input;
  if (values instanceof BigInt64Array || values instanceof BigUint64Array) {
    if (minimum === undefined && maximum === undefined) return;
    const low = minimum === undefined ? undefined : BigInt(Math.ceil(minimum));
    const high = maximum === undefined ? undefined : BigInt(Math.floor(maximum));
    for (let index = 0; index < values.length; index += 1) {
      const value = values[index] as bigint;
      if ((low !== undefined && value < low) || (high !== undefined && value > high))
        throw outOfRange(field, first + index, value, minimum, maximum);
    }
    return;
  }
  // int16 samples stand for themselves divided by 32768: what a range says of them holds by type
  // where it contains -1 … 1; otherwise it is scaled.
  const scale = dtype === 'int16' && input.dtype === 'float32' ? 32768 : 1;
  const low = (minimum ?? -Infinity) * scale;
  const high = (maximum ?? Infinity) * scale;
  const floating = values instanceof Float32Array || values instanceof Float64Array;
  if (floating && !input.allowNan) {
    for (let index = 0; index < values.length; index += 1) {
      const value = values[index] as number;
      // False for NaN, too.
      if (!(value >= low && value <= high && value - value === 0))
        throw Number.isFinite(value)
          ? outOfRange(field, first + index, value, minimum, maximum)
          : notFinite(field, first + index, value);
    }
    return;
  }
  scanRange(values, low, high, field, first);
}

function scanRange(
  values: ArrayLike<number>,
  low: number,
  high: number,
  field: string,
  first: number,
): void {
  if (low === -Infinity && high === Infinity) return;
  for (let index = 0; index < values.length; index += 1) {
    const value = values[index] as number;
    if (value < low || value > high) throw outOfRange(field, first + index, value, low, high);
  }
}

function notFinite(field: string, index: number, value: number): Error {
  return invalid('INPUT_NOT_FINITE', `${field} element ${index}`, String(value), 'a finite number');
}

function outOfRange(
  field: string,
  index: number,
  value: number | bigint,
  low: number | undefined,
  high: number | undefined,
): Error {
  return invalid(
    'INPUT_OUT_OF_RANGE',
    `${field} element ${index}`,
    value,
    `${low === undefined ? '' : `at least ${low}`}${low !== undefined && high !== undefined ? ', ' : ''}${high === undefined ? '' : `at most ${high}`}`,
  );
}
