/**
 * Makes small ONNX files for tests. Field numbers are those of
 * https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3.
 */
import type { DType } from '@cabstand/tensor';
import { ELEMENT_TYPES, tensorFields } from './tensor';
import type { OnnxTensor } from './tensor';
import { float, integer, message, text } from './writer';
import type { Field } from './writer';

/** A string in `dims` names a free dimension; '' is a free dimension without a name. No `dims`: any rank. */
interface OnnxTensorType {
  readonly dtype: DType;
  readonly dims?: readonly (number | string)[] | undefined;
}

type OnnxType =
  | OnnxTensorType
  | { readonly sequence: OnnxType }
  | { readonly optional: OnnxType }
  | { readonly map: { readonly key: DType; readonly value: OnnxType } };

/** An input or output of a graph. */
export type OnnxValue = OnnxType & { readonly name: string };

/**
 * A whole number is an int and any other a float; a float that may be whole is `{ float: 1 }`. Lists of
 * numbers are ints unless written `{ floats: [1] }`.
 */
export type OnnxAttribute =
  | number
  | bigint
  | string
  | readonly (number | bigint)[]
  | readonly string[]
  | { readonly float: number }
  | { readonly floats: readonly number[] }
  | { readonly tensor: OnnxTensor }
  | { readonly graph: OnnxGraph };

export interface OnnxNode {
  readonly op: string;
  /** Default: the standard operators. */
  readonly domain?: string;
  /** '' leaves an optional input out. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes?: Readonly<Record<string, OnnxAttribute>>;
}

export interface OnnxGraph {
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
  /** In an order that computes each value before its use. */
  readonly nodes: readonly OnnxNode[];
  readonly initializers?: readonly OnnxTensor[];
}

export interface OnnxModel extends OnnxGraph {
  /** Version of the standard operators; default 17. */
  readonly opset?: number;
  /** Versions of the operators of other domains, such as `ai.onnx.ml`. */
  readonly opsets?: Readonly<Record<string, number>>;
}

/** The bytes of an ONNX file. Nothing is checked: a wrong graph makes a file that no runtime loads. */
export function onnxModel(model: OnnxModel): Buffer {
  const opsets = Object.entries({ '': model.opset ?? 17, ...model.opsets });
  return Buffer.concat([
    integer(1, 8), // ir_version of ONNX 1.10 to 1.13, which has opsets 15 to 18
    text(2, 'cabstand'),
    message(7, graphFields(model)),
    ...opsets.map(([domain, version]) => message(8, [text(1, domain), integer(2, version)])),
  ]);
}

function graphFields({ inputs, outputs, nodes, initializers = [] }: OnnxGraph): Field[] {
  return [
    ...nodes.map((node) => message(1, nodeFields(node))),
    text(2, 'graph'),
    ...initializers.map((tensor) => message(5, tensorFields(tensor))),
    ...inputs.map((value) => message(11, valueFields(value))),
    ...outputs.map((value) => message(12, valueFields(value))),
  ];
}

function nodeFields({ op, domain = '', inputs, outputs, attributes = {} }: OnnxNode): Field[] {
  return [
    ...inputs.map((name) => text(1, name)),
    ...outputs.map((name) => text(2, name)),
    text(4, op),
    ...Object.entries(attributes).map(([name, value]) =>
      message(5, [text(1, name), ...attributeFields(value)]),
    ),
    text(7, domain),
  ];
}

function valueFields(value: OnnxValue): Field[] {
  return [text(1, value.name), message(2, typeFields(value))];
}

function typeFields(type: OnnxType): Field[] {
  if ('sequence' in type) return [message(4, [message(1, typeFields(type.sequence))])];
  if ('optional' in type) return [message(9, [message(1, typeFields(type.optional))])];
  if ('map' in type) {
    const { key, value } = type.map;
    return [message(5, [integer(1, ELEMENT_TYPES[key]), message(2, typeFields(value))])];
  }
  const shape = type.dims?.map((size) =>
    message(1, typeof size === 'number' ? [integer(1, size)] : size === '' ? [] : [text(2, size)]),
  );
  const elements = integer(1, ELEMENT_TYPES[type.dtype]);
  return [message(1, shape === undefined ? [elements] : [elements, message(2, shape)])];
}

/** The value and, in field 20, AttributeProto.AttributeType. */
function attributeFields(value: OnnxAttribute): Field[] {
  if (typeof value === 'bigint' || (typeof value === 'number' && Number.isInteger(value)))
    return [integer(3, value), integer(20, 2)];
  if (typeof value === 'number') return attributeFields({ float: value });
  if (typeof value === 'string') return [text(4, value), integer(20, 3)];
  if ('float' in value) return [float(2, value.float), integer(20, 1)];
  if ('floats' in value) return [...value.floats.map((one) => float(7, one)), integer(20, 6)];
  if ('tensor' in value) return [message(5, tensorFields(value.tensor)), integer(20, 4)];
  if ('graph' in value) return [message(6, graphFields(value.graph)), integer(20, 5)];
  if (value.every((one) => typeof one === 'string'))
    return [...value.map((one) => text(9, one)), integer(20, 8)];
  return [...value.map((one) => integer(8, one)), integer(20, 7)];
}
