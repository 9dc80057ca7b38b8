import { show } from '@cabstand/core';
import {
  DTYPES,
  MAX_RANK,
  elementCount,
  expectedElement,
  isDType,
  isSize,
  tensorFromJson,
} from '@cabstand/tensor';
import type { DType, Tensor } from '@cabstand/tensor';
import { UsageError } from '../errors';

/**
 * Reads a tensor written as nested lists, one value for a scalar, or
 * `{ "dtype": …, "shape": […], "data": […] }`: what `--json` prints can be read again. Elements are
 * numbers, true or false for bool, and text for string; also text for what a JSON number cannot hold:
 * integers beyond 2^53, "NaN", "Infinity" and "-Infinity".
 *
 * @param expected the type that the model takes, where the file says none; default float32.
 */
export function parseJsonTensor(
  name: string,
  text: string,
  path: string,
  expected: DType | undefined,
): Tensor {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new UsageError(`${path} is not JSON: ${(error as Error).message}`);
  }
  const told = isRecord(value) ? value : { data: value };
  const dtype = told['dtype'] ?? expected ?? 'float32';
  if (typeof dtype !== 'string' || !isDType(dtype))
    throw new UsageError(
      `${path}: dtype ${show(dtype)} is not known`,
      `Types: ${Object.keys(DTYPES).join(', ')}`,
    );
  const flat: unknown[] = [];
  const nested = flatten(told['data'], flat, 0, path);
  const shape = told['shape'] ?? nested;
  if (!isShape(shape))
    throw new UsageError(
      `${path}: shape ${show(shape)} is no list of up to ${MAX_RANK} sizes of at least 0`,
    );
  if (elementCount(shape) !== flat.length)
    throw new UsageError(
      `${path}: ${flat.length} elements do not fill shape [${shape.join(', ')}]`,
    );
  return tensorFromJson(
    name,
    dtype,
    flat,
    shape,
    (element, index) =>
      new UsageError(
        `${path}: element ${index} is ${show(element)}; ${dtype} takes ${expectedElement(dtype)}`,
      ),
  );
}

/** Puts the elements into `into`; the sizes of the lists, which must be the same at each depth. */
function flatten(value: unknown, into: unknown[], depth: number, path: string): number[] {
  if (!Array.isArray(value)) {
    if (typeof value !== 'number' && typeof value !== 'string' && typeof value !== 'boolean')
      throw new UsageError(`${path}: expected nested lists of elements, found ${show(value)}`);
    into.push(value);
    return [];
  }
  if (depth >= MAX_RANK) throw new UsageError(`${path}: lists nest deeper than ${MAX_RANK}`);
  let inner: readonly number[] | undefined;
  for (const item of value) {
    const sizes = flatten(item, into, depth + 1, path);
    inner ??= sizes;
    if (sizes.length !== inner.length || sizes.some((size, axis) => size !== inner?.[axis]))
      throw new UsageError(
        `${path}: lists at the same depth have different lengths`,
        'A tensor is rectangular: pad the shorter lists.',
      );
  }
  return [value.length, ...(inner ?? [])];
}

function isShape(shape: unknown): shape is readonly number[] {
  return Array.isArray(shape) && shape.length <= MAX_RANK && shape.every(isSize);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
