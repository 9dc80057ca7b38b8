/** TensorProto: the weights and constants of a graph. */
import { Float16Array } from '@petamoriken/float16';
import { DTYPES } from '@cabstand/tensor';
import type { DType } from '@cabstand/tensor';
import { bytes, integer, text } from './writer';
import type { Field } from './writer';

export interface OnnxTensor {
  /** Needed for an initializer, not for an attribute. */
  readonly name?: string;
  readonly dtype: DType;
  /** Empty for a scalar. */
  readonly shape: readonly number[];
  /** In row-major order; float16 as numbers, rounded to the nearest one. */
  readonly values: readonly (number | bigint | boolean | string)[];
}

/** TensorProto.DataType: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3. */
export const ELEMENT_TYPES: Readonly<Record<DType, number>> = {
  float32: 1,
  uint8: 2,
  int8: 3,
  uint16: 4,
  int16: 5,
  int32: 6,
  int64: 7,
  string: 8,
  bool: 9,
  float16: 10,
  float64: 11,
  uint32: 12,
  uint64: 13,
};

export function tensorFields({ name, dtype, shape, values }: OnnxTensor): Field[] {
  const count = shape.reduce((product, size) => product * size, 1);
  if (count !== values.length)
    throw new Error(
      `tensor ${name ?? ''} has ${values.length} values, [${shape.join(', ')}] ${count}`,
    );
  return [
    ...shape.map((size) => integer(1, size)),
    integer(2, ELEMENT_TYPES[dtype]),
    ...(name === undefined ? [] : [text(8, name)]),
    ...(dtype === 'string'
      ? values.map((value) => text(6, String(value)))
      : [bytes(9, rawData(dtype, values))]),
  ];
}

function rawData(dtype: DType, values: OnnxTensor['values']): Uint8Array {
  if (dtype === 'float16') return new Uint8Array(new Float16Array(values.map(Number)).buffer);
  const { array: Elements } = DTYPES[dtype];
  if (Elements === undefined) throw new Error(`${dtype} has no raw data`);
  const array = new Elements(
    new ArrayBuffer(values.length * DTYPES[dtype].bytes),
    0,
    values.length,
  );
  values.forEach((value, index) => {
    if (array instanceof BigInt64Array || array instanceof BigUint64Array)
      array[index] = BigInt(value);
    else array[index] = Number(value);
  });
  return new Uint8Array(array.buffer);
}
