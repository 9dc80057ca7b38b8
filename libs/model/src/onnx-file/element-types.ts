import type { DType } from '@cabstand/tensor';

/** Element types of ONNX that @cabstand/tensor does not have, by their names in lower case. */
type OtherElementType =
  | 'undefined'
  | 'complex64'
  | 'complex128'
  | 'bfloat16'
  | 'float8e4m3fn'
  | 'float8e4m3fnuz'
  | 'float8e5m2'
  | 'float8e5m2fnuz'
  | 'uint4'
  | 'int4'
  | 'float4e2m1'
  | 'float8e8m0'
  | 'uint2'
  | 'int2';

/** `type 99` is a number that ONNX had not given away when this was written. */
export type OnnxElementType = DType | OtherElementType | `type ${number}`;

/** TensorProto.DataType of onnx.proto3 (ONNX 1.20), in the order of its numbers, which start at 0. */
// prettier-ignore
const ELEMENT_TYPES: readonly OnnxElementType[] = [
  'undefined', 'float32', 'uint8', 'int8', 'uint16', 'int16', 'int32', 'int64', 'string', 'bool', 'float16',
  'float64', 'uint32', 'uint64', 'complex64', 'complex128', 'bfloat16', 'float8e4m3fn', 'float8e4m3fnuz',
  'float8e5m2', 'float8e5m2fnuz', 'uint4', 'int4', 'float4e2m1', 'float8e8m0', 'uint2', 'int2',
];

export function elementTypeNumber(type: DType): number {
  return ELEMENT_TYPES.indexOf(type);
}

export function elementType(number: number): OnnxElementType {
  return ELEMENT_TYPES[number] ?? `type ${number}`;
}
