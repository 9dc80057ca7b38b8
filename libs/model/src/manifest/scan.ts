/** Finds NaN, infinities and values out of range without allocating per element. */
import { invalid } from '@cabstand/core';
import { numbersOf } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';
import type { InputSpec } from './signature';

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
  const values = numbersOf(tensor);
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
