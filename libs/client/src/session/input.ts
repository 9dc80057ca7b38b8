import { invalid } from '@cabstand/core';
import { elementToJson, stringTensor, tensorOf } from '@cabstand/tensor';
import type { NumericArray, Tensor } from '@cabstand/tensor';
import type { TurnInput } from '../protocol/types';

/**
 * Input tensors: a list, or by name. A bare array becomes a tensor of one dimension whose dtype
 * follows from the array, a bare list of strings a string tensor; bool and more dimensions need
 * `tensorOf`, float16 is made of numbers by `tensorFrom`. Memory is shared, so arrays must not change
 * until the turn has started.
 */
export type TensorInput =
  readonly Tensor[] | Readonly<Record<string, Tensor | NumericArray | readonly string[]>>;

export function toTensors(input: TensorInput | undefined): readonly Tensor[] {
  if (input === undefined) return [];
  if (isList(input)) return input;
  return Object.entries(input).map(([name, value]) => {
    if (isStrings(value)) return stringTensor(name, value);
    if (ArrayBuffer.isView(value)) return tensorOf(name, value);
    if (isTensor(value)) return value.name === name ? value : { ...value, name };
    throw invalid('INPUT_DTYPE', `input ${name}`, value, 'a tensor, a typed array or strings');
  });
}

function isList(input: TensorInput): input is readonly Tensor[] {
  return Array.isArray(input);
}

function isTensor(value: unknown): value is Tensor {
  return typeof value === 'object' && value !== null && 'dtype' in value;
}

function isStrings(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((text) => typeof text === 'string');
}

export function turnInput(
  prompt: string | undefined,
  tensors: TensorInput | undefined,
  parameters: Readonly<Record<string, unknown>> | undefined,
): TurnInput {
  let json = '';
  if (parameters !== undefined) {
    try {
      // JSON has no bigint; 64-bit parameters take decimal text beyond 2^53.
      json = JSON.stringify(parameters, (_, value: unknown) =>
        typeof value === 'bigint' ? elementToJson('int64', value) : value,
      );
    } catch {
      throw invalid('PARAMETER_INVALID', 'parameters', 'a value without a JSON form', 'JSON');
    }
  }
  return { prompt: prompt ?? '', tensors: toTensors(tensors), parameters: json };
}

/** Bytes of input, for windows. */
export function inputBytes(tensors: readonly Tensor[]): number {
  let bytes = 0;
  for (const tensor of tensors) {
    bytes += tensor.data.byteLength;
    for (const text of tensor.strings ?? []) bytes += text.length;
  }
  return bytes;
}
