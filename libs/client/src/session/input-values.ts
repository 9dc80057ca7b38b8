import { invalid, show } from '@cabstand/core';
import {
  MAX_RANK,
  expectedElement,
  readElement,
  stringTensor,
  tensorFrom,
  tensorOf,
} from '@cabstand/tensor';
import type { DType, NumericArray, Tensor } from '@cabstand/tensor';
import type { ModelInputs } from '../protocol/types';
import { fileKind, insteadOfPath } from './file-kinds';

/** Numbers whose dtype only the model tells. */
interface Untyped {
  readonly name: string;
  readonly shape: readonly number[];
  readonly values: readonly (number | bigint)[];
}

/** An input as far as it can be made without asking. */
export type Given = Tensor | Untyped;

export function isTyped(given: Given): given is Tensor {
  return 'dtype' in given;
}

/** Text that is the path of a file, perhaps: whether it is meant as text, the model tells. */
export function isPath(given: Given): boolean {
  return insteadOfGiven(given) !== undefined;
}

function insteadOfGiven(given: Given): string | undefined {
  const [text, ...more] = (isTyped(given) ? given.strings : undefined) ?? [];
  return text === undefined || more.length > 0 ? undefined : insteadOfPath(text);
}

/** Lists as deep as a tensor has dimensions, or one value for a scalar. */
type Nested<T> = T | readonly Nested<T>[];

/** What an input can be made of. */
export type InputValue =
  | Tensor
  | NumericArray
  | Uint8ClampedArray
  | Nested<number | bigint>
  | Nested<boolean>
  | Nested<string>;

/** Throws INPUT_DTYPE or INPUT_SHAPE, saying what to give instead. */
export function givenInput(name: string, value: InputValue): Given {
  if (ArrayBuffer.isView(value)) return fromArray(name, value);
  if (isTensor(value)) return value.name === name ? value : { ...value, name };
  const elements: unknown[] = [];
  const nested = flatten(name, value, elements, 0);
  // The usual way to write a string input is one string, which is one element.
  const shape = typeof value === 'string' ? [1] : nested;
  if (elements.length > 0 && elements.every((element) => typeof element === 'string'))
    return stringTensor(name, elements, shape);
  if (elements.length > 0 && elements.every((element) => typeof element === 'boolean'))
    return tensorFrom(name, 'bool', elements, shape);
  if (elements.every(isNumber)) return { name, shape, values: elements };
  throw mixed(name, elements);
}

/** Makes a tensor of numbers. Throws INPUT_OUT_OF_RANGE, naming the element that the dtype does not have. */
function typedInput({ name, shape, values }: Untyped, dtype: DType): Tensor {
  if (dtype === 'string' && values.length === 0) return stringTensor(name, [], shape);
  const elements = values.map((value, index) => {
    // Whether the model takes NaN, its hoster tells.
    if (Number.isNaN(value) && dtype.startsWith('float')) return NaN;
    const element = readElement(dtype, typeof value === 'bigint' ? String(value) : value);
    if (element === undefined)
      throw invalid(
        dtype === 'string' ? 'INPUT_DTYPE' : 'INPUT_OUT_OF_RANGE',
        `input ${name} element ${index}`,
        value,
        expectedElement(dtype),
      );
    return element;
  });
  return tensorFrom(name, dtype, elements, shape);
}

/**
 * All inputs as tensors. Throws INPUT_DTYPE where it is not known what the model takes, INPUT_UNKNOWN for an
 * input that it does not have, INPUT_OUT_OF_RANGE. INPUT_DTYPE for the path of a file in place of numbers.
 */
export function typedInputs(
  given: readonly Given[],
  model: ModelInputs | undefined,
): readonly Tensor[] {
  return given.map((one) => {
    const { name } = one;
    if (isTyped(one)) {
      const instead = insteadOfGiven(one);
      const wanted = model?.inputs.find((input) => input.name === name)?.dtype ?? 'string';
      if (instead === undefined || wanted === 'string') return one;
      throw invalid('INPUT_DTYPE', `input ${name}`, one.strings?.[0], `${wanted}: ${instead}`);
    }
    if (model === undefined)
      throw invalid(
        'INPUT_DTYPE',
        `input ${name}`,
        'a list of numbers',
        `a typed array, such as Float32Array.from(values), or tensorFrom(${show(name)}, 'float32', values): ` +
          'which dtype the model takes is not known here',
      );
    const spec = model.inputs.find((input) => input.name === name);
    if (spec === undefined)
      throw invalid(
        'INPUT_UNKNOWN',
        'input',
        name,
        model.inputs.map((input) => input.name).join(', ') || 'none',
      );
    return typedInput(one, spec.dtype);
  });
}

function isTensor(value: unknown): value is Tensor {
  return typeof value === 'object' && value !== null && 'dtype' in value && 'shape' in value;
}

function isNumber(element: unknown): element is number | bigint {
  return typeof element === 'number' || typeof element === 'bigint';
}

function fromArray(name: string, array: ArrayBufferView): Tensor {
  if (array instanceof Uint8Array) {
    const kind = fileKind(array);
    if (kind !== undefined)
      throw invalid(
        'INPUT_DTYPE',
        `input ${name}`,
        kind.what,
        `${kind.instead}; tensorOf(${show(name)}, bytes) sends the bytes themselves`,
      );
  }
  if (array instanceof Uint8ClampedArray)
    return tensorOf(name, new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
  if (isNumericArray(array)) return tensorOf(name, array);
  throw invalid(
    'INPUT_DTYPE',
    `input ${name}`,
    array.constructor.name,
    `a typed array, such as new Float32Array(view.buffer); tensorFrom(${show(name)}, 'float16', numbers) for float16`,
  );
}

const ARRAYS = [
  ...[Float32Array, Float64Array, Int8Array, Int16Array, Int32Array, BigInt64Array],
  ...[Uint8Array, Uint16Array, Uint32Array, BigUint64Array],
];

function isNumericArray(array: ArrayBufferView): array is NumericArray {
  return ARRAYS.some((kind) => array instanceof kind);
}

/** Puts the elements into `into`. Answers the sizes of the lists, the same at each depth. */
function flatten(name: string, value: unknown, into: unknown[], depth: number): number[] {
  if (!Array.isArray(value)) {
    if (!['number', 'bigint', 'boolean', 'string'].includes(typeof value)) throw unfit(name, value);
    into.push(value);
    return [];
  }
  if (depth >= MAX_RANK)
    throw invalid('INPUT_RANK', `input ${name}`, 'lists in lists', `at most ${MAX_RANK} deep`);
  let inner: readonly number[] | undefined;
  for (const item of value) {
    const sizes = flatten(name, item, into, depth + 1);
    inner ??= sizes;
    if (sizes.length !== inner.length || sizes.some((size, axis) => size !== inner?.[axis]))
      throw invalid(
        'INPUT_SHAPE',
        `input ${name}`,
        'lists of different lengths',
        'the same length at each depth: pad the shorter ones',
      );
  }
  return [value.length, ...(inner ?? [])];
}

function mixed(name: string, elements: readonly unknown[]): Error {
  const kinds = [...new Set(elements.map((element) => typeof element))];
  return invalid('INPUT_DTYPE', `input ${name}`, kinds.join(' and '), 'elements of one kind');
}

function unfit(name: string, value: unknown): Error {
  const field = `input ${name}`;
  const expected = `a tensor, a typed array or a list of numbers, booleans or strings`;
  if (value === undefined || value === null)
    return invalid(
      'INPUT_DTYPE',
      field,
      value,
      `${expected}; leave out an input that is not given`,
    );
  if (ArrayBuffer.isView(value))
    return invalid(
      'INPUT_DTYPE',
      field,
      'a list of typed arrays',
      `one typed array of all rows: tensorOf(${show(name)}, array, [rows, columns])`,
    );
  if (value instanceof ArrayBuffer)
    return invalid(
      'INPUT_DTYPE',
      field,
      'an ArrayBuffer',
      'a typed array over it: new Float32Array(buffer), say',
    );
  if (value instanceof Promise)
    return invalid('INPUT_DTYPE', field, 'a promise', 'what it gives: await it');
  if (typeof value === 'object' && (Symbol.asyncIterator in value || Symbol.iterator in value))
    return invalid(
      'INPUT_DTYPE',
      field,
      'a stream',
      `${expected}; parts of a stream go with session.live() and write()`,
    );
  return invalid('INPUT_DTYPE', field, typeof value, expected);
}
