/** Tensors in JSON, the same in requests and in records: `{"audio": {"dtype", "shape", "data" or "base64"}}`. */
import { invalid } from '@cabstand/core';
import {
  DTYPES,
  MAX_RANK,
  elementCount,
  isDType,
  isSize,
  jsonElements,
  refusedElement,
  tensorFromJson,
} from '@cabstand/tensor';
import type { DType, Tensor } from '@cabstand/tensor';
import { z } from 'zod';

const MOST_TENSORS = 64;

/** How elements are written: as a list of numbers or texts, or as base64 of their little-endian bytes. */
export type Elements = 'list' | 'base64';

const element = z.union([z.number(), z.string(), z.boolean()]);
const tensorSchema = z
  .strictObject({
    dtype: z
      .string()
      .refine(isDType, { message: `expected one of ${Object.keys(DTYPES).join(', ')}` }),
    shape: z
      .array(z.number().refine(isSize, 'expected a size of at least 0'))
      .max(MAX_RANK)
      .optional(),
    data: z.array(element).optional(),
    base64: z.base64().optional(),
  })
  .refine(({ data, base64 }) => (data === undefined) !== (base64 === undefined), {
    message: 'expected data (a flat list) or base64, one of them',
  });

export const tensorsSchema = z
  .record(z.string().min(1).max(256), tensorSchema)
  .refine((tensors) => Object.keys(tensors).length <= MOST_TENSORS, {
    message: `expected at most ${MOST_TENSORS} tensors`,
  });

type JsonTensor = z.output<typeof tensorSchema>;

/** Throws INPUT_BYTES, INPUT_DTYPE, INPUT_OUT_OF_RANGE, INPUT_SHAPE or INPUT_TEXT. */
export function tensorsOf(given: z.output<typeof tensorsSchema>): Tensor[] {
  return Object.entries(given).map(([name, tensor]) => tensorOf(name, tensor));
}

function tensorOf(name: string, { dtype, shape, data, base64 }: JsonTensor): Tensor {
  if (base64 !== undefined)
    return rawTensor(name, dtype, shape ?? [-1], Buffer.from(base64, 'base64'));
  const values = data ?? [];
  const sizes = shape ?? [values.length];
  checkCount(name, values.length, sizes);
  return tensorFromJson(name, dtype, values, sizes, (value, at) =>
    refusedElement(dtype, `tensors.${name}.data[${at}]`, value),
  );
}

/**
 * A tensor over little-endian bytes, whose memory it shares. Throws INPUT_BYTES or INPUT_DTYPE.
 *
 * @param shape with at most one -1, which is as much as the bytes make of it
 */
export function rawTensor(
  name: string,
  dtype: DType,
  shape: readonly number[],
  data: Buffer,
): Tensor {
  if (dtype === 'string')
    throw invalid('INPUT_DTYPE', `tensors.${name}.base64`, 'string', 'data: texts are no bytes');
  const { bytes } = DTYPES[dtype];
  const row = shape.reduce((product, size) => (size < 0 ? product : product * size), bytes);
  const open = shape.includes(-1);
  const fits = open ? row > 0 && data.length % row === 0 : data.length === row;
  if (!fits)
    throw invalid(
      'INPUT_BYTES',
      `tensors.${name}`,
      `${data.length} bytes`,
      `${open ? 'a multiple of ' : ''}${row} bytes for ${dtype} [${shape.join(', ')}]`,
    );
  return { name, dtype, shape: shape.map((size) => (size < 0 ? data.length / row : size)), data };
}

function checkCount(name: string, count: number, shape: readonly number[]): void {
  if (elementCount(shape) === count) return;
  throw invalid(
    'INPUT_BYTES',
    `tensors.${name}.data`,
    `${count} elements`,
    `${elementCount(shape)} for shape [${shape.join(', ')}]`,
  );
}

export function tensorsJson(
  tensors: readonly Tensor[],
  elements: Elements,
): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    tensors.map((tensor) => {
      const { name, dtype, shape, data } = tensor;
      const base64 = elements === 'base64' && dtype !== 'string';
      const content = base64
        ? { base64: Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('base64') }
        : { data: jsonElements(tensor) };
      return [name, { dtype, shape, ...content }];
    }),
  );
}
