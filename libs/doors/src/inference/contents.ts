/** Elements that came as numbers, in the fields of InferTensorContents. */
import { CabstandError, invalid } from '@cabstand/core';
import {
  elementCount,
  expectedElement,
  readElement,
  stringTensor,
  tensorFrom,
} from '@cabstand/tensor';
import type { DType, Tensor } from '@cabstand/tensor';
import type { InferTensorContents__Output } from '../generated/inference/InferTensorContents';
import { DATATYPES, textOf } from '../infer/datatypes';

type Field = keyof InferTensorContents__Output;

const FIELDS: Readonly<Record<DType, Field | undefined>> = {
  bool: 'bool_contents',
  int8: 'int_contents',
  int16: 'int_contents',
  int32: 'int_contents',
  int64: 'int64_contents',
  uint8: 'uint_contents',
  uint16: 'uint_contents',
  uint32: 'uint_contents',
  uint64: 'uint64_contents',
  float32: 'fp32_contents',
  float64: 'fp64_contents',
  string: 'bytes_contents',
  // It has no field of its own.
  float16: undefined,
};

/** Throws INPUT_DTYPE, INPUT_BYTES, INPUT_OUT_OF_RANGE or INPUT_TEXT. */
export function fromContents(
  name: string,
  dtype: DType,
  shape: readonly number[],
  contents: InferTensorContents__Output,
): Tensor {
  const input = `input ${JSON.stringify(name)}`;
  const field = FIELDS[dtype];
  if (field === undefined)
    throw invalid('INPUT_DTYPE', `${input} contents`, DATATYPES[dtype], 'raw_input_contents');
  for (const [other, values] of Object.entries(contents) as [Field, readonly unknown[]][])
    if (other !== field && Array.isArray(values) && values.length > 0)
      throw invalid('INPUT_DTYPE', `${input} contents`, other, `${field} for ${DATATYPES[dtype]}`);
  const values: readonly unknown[] = contents[field];
  if (values.length !== elementCount(shape))
    throw invalid(
      'INPUT_BYTES',
      `${input} ${field}`,
      `${values.length} elements`,
      `${elementCount(shape)} elements for [${shape.join(', ')}]`,
    );
  if (dtype === 'string') {
    const strings = values.map((bytes) => textOf(`${input} ${field}`, bytes as Buffer));
    return stringTensor(name, strings, shape);
  }
  return tensorFrom(
    name,
    dtype,
    values.map((value) => element(input, dtype, value)),
    shape,
  );
}

function element(input: string, dtype: DType, value: unknown): number | bigint {
  // NaN and infinities are the model's to refuse.
  if (typeof value === 'number' && !dtype.includes('int')) return value;
  const read = readElement(dtype, value);
  if (read !== undefined) return read;
  throw new CabstandError(
    'INPUT_OUT_OF_RANGE',
    `${input}: got ${String(value)}, expected ${expectedElement(dtype)}`,
    { metadata: { field: input, value: String(value), expected: expectedElement(dtype) } },
  );
}
