import { invalid } from '@cabstand/core';
import { elementToJson } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';
import type { TurnInput } from '../protocol/types';
import { givenInput, isTyped } from './input-values';
import type { Given, InputValue } from './input-values';

/**
 * Input tensors: a list, or by name. A typed array becomes a tensor of one dimension whose dtype follows
 * from the array; lists, nested for more dimensions, hold numbers (of the dtype that the model declares),
 * booleans or strings. `tensorOf` makes a tensor of any shape of a typed array, `tensorFrom` one of any
 * dtype of a list. Memory is shared: arrays must not change until the turn has started, those of more than
 * 8 MiB until it has ended.
 */
export type TensorInput = readonly Tensor[] | Readonly<Record<string, InputValue>>;

/** A turn's input as far as it can be made without asking what the model takes. */
export interface GivenInput extends Omit<TurnInput, 'tensors'> {
  readonly tensors: readonly Given[];
}

/** Throws INPUT_DTYPE, INPUT_RANK or INPUT_SHAPE, naming the input and what to give instead. */
export function toTensors(input: TensorInput | undefined): readonly Given[] {
  if (input === undefined) return [];
  if (isList(input)) return input.map(checkTensor);
  return Object.entries(input).map(([name, value]) => givenInput(name, value));
}

function isList(input: TensorInput): input is readonly Tensor[] {
  return Array.isArray(input);
}

function checkTensor(value: Tensor, index: number): Tensor {
  if (typeof value === 'object' && 'dtype' in value) return value;
  throw invalid(
    'INPUT_DTYPE',
    `inputs[${index}]`,
    typeof value,
    'a tensor; arrays and lists are given by name: { audio: samples }',
  );
}

export function turnInput(
  prompt: string | undefined,
  tensors: TensorInput | undefined,
  parameters: Readonly<Record<string, unknown>> | undefined,
): GivenInput {
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

/** Whether all of it is ready to be sent. */
export function isComplete(input: GivenInput): input is TurnInput {
  return input.tensors.every(isTyped);
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
