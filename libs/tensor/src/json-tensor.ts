import { invalid } from '@cabstand/core';
import type { CabstandError } from '@cabstand/core';
import type { DType } from './dtype';
import { expectedElement, readElement } from './json';
import { tensorFrom } from './numbers';
import { stringTensor } from './tensor';
import type { Tensor } from './tensor';

/**
 * A tensor of elements in JSON, as `jsonElements` writes them.
 *
 * @param values as many as the shape has elements, in row-major order
 * @param refusal what to throw for an element that the dtype does not have
 */
export function tensorFromJson(
  name: string,
  dtype: DType,
  values: readonly unknown[],
  shape: readonly number[],
  refusal: (value: unknown, at: number) => Error,
): Tensor {
  if (dtype === 'string')
    return stringTensor(
      name,
      values.map((value, at) => {
        if (typeof value === 'string') return value;
        throw refusal(value, at);
      }),
      shape,
    );
  const elements = values.map((value, at) => {
    const element = readElement(dtype, value);
    if (element === undefined) throw refusal(value, at);
    return element;
  });
  return tensorFrom(name, dtype, elements, shape);
}

/** INPUT_TEXT or INPUT_OUT_OF_RANGE for an element of an input that its dtype does not have. */
export function refusedElement(dtype: DType, field: string, value: unknown): CabstandError {
  const reason = dtype === 'string' ? 'INPUT_TEXT' : 'INPUT_OUT_OF_RANGE';
  return invalid(reason, field, value, expectedElement(dtype));
}
