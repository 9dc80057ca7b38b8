import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { show } from '@cabstand/core';
import { DTYPES, MAX_RANK, elementCount, isDType, stringTensor, tensorOf } from '@cabstand/tensor';
import type { DType, NumericArray, Tensor } from '@cabstand/tensor';
import { UsageError } from '../errors';
import { bytes } from '../render/units';
import { parseNpy } from './npy';

/** What `--tensor` names. */
export interface TensorSource {
  readonly name: string;
  readonly path: string;
  readonly format: 'npy' | 'json' | 'raw';
  /** For raw bytes; for JSON, the type to make of its numbers where the file does not say. */
  readonly dtype: DType | undefined;
  /** For raw bytes. */
  readonly shape: readonly number[] | undefined;
}

const SYNTAX =
  'NAME=FILE.npy, NAME=FILE.json or NAME=FILE:DTYPE:SHAPE (such as x=in.bin:float32:1x3x48x192)';
const LARGEST_FILE = 1e9;

/** Parses the value of `--tensor`. */
export function parseTensorSource(value: string): TensorSource {
  const equals = value.indexOf('=');
  const name = value.slice(0, equals);
  const rest = value.slice(equals + 1);
  if (equals < 1 || rest === '') throw new UsageError(`--tensor ${value}: expected ${SYNTAX}`);
  const raw = /^(.+):([a-z0-9]+):([0-9x,]*)$/.exec(rest);
  if (raw !== null) {
    const [, file = '', dtype = '', sizes = ''] = raw;
    if (!isDType(dtype) || dtype === 'string')
      throw new UsageError(
        `--tensor ${value}: ${dtype} is no type of raw bytes`,
        `Types: ${numericTypes()}`,
      );
    return { name, path: file, format: 'raw', dtype, shape: parseShape(value, sizes) };
  }
  const extension = path.extname(rest).toLowerCase();
  if (extension === '.npy' || extension === '.json')
    return {
      name,
      path: rest,
      format: extension === '.npy' ? 'npy' : 'json',
      dtype: undefined,
      shape: undefined,
    };
  throw new UsageError(`--tensor ${value}: expected ${SYNTAX}`);
}

function parseShape(value: string, sizes: string): number[] {
  const shape = sizes === '' ? [] : sizes.split(/[x,]/).map(Number);
  if (shape.length > MAX_RANK || shape.some((size) => !Number.isSafeInteger(size) || size < 1))
    throw new UsageError(
      `--tensor ${value}: ${sizes} is no shape`,
      `Up to ${MAX_RANK} sizes of at least 1, such as 1x3x48x192.`,
    );
  return shape;
}

/** Reads the file. `expected` is the type that the model takes, for JSON that does not say. */
export async function loadTensor(
  source: TensorSource,
  expected: DType | undefined,
): Promise<Tensor> {
  const file = await readBounded(source.path);
  switch (source.format) {
    case 'npy':
      return parseNpy(source.name, file, source.path);
    case 'raw':
      return rawTensor(source, file);
    case 'json':
      return jsonTensor(source, file.toString('utf8'), expected);
  }
}

async function readBounded(file: string): Promise<Buffer> {
  try {
    const { size } = await stat(file);
    if (size > LARGEST_FILE)
      throw new Error(`it has ${bytes(size)}, at most ${bytes(LARGEST_FILE)} are read`);
    return await readFile(file);
  } catch (error) {
    throw new UsageError(`cannot read ${file}: ${(error as Error).message}`, undefined, error);
  }
}

function rawTensor(
  { name, path: file, dtype = 'float32', shape = [] }: TensorSource,
  data: Buffer,
): Tensor {
  const needed = elementCount(shape) * DTYPES[dtype].bytes;
  if (data.length !== needed)
    throw new UsageError(
      `${file} holds ${data.length} bytes; ${dtype} [${shape.join(', ')}] needs ${needed}`,
    );
  return { name, dtype, shape, data };
}

/** Nested lists of numbers, or `{ "dtype": …, "shape": […], "data": […] }`. */
function jsonTensor(source: TensorSource, text: string, expected: DType | undefined): Tensor {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new UsageError(`${source.path} is not JSON: ${(error as Error).message}`);
  }
  const told = isRecord(value) ? value : { data: value };
  const dtype = told['dtype'] ?? expected ?? 'float32';
  if (typeof dtype !== 'string' || !isDType(dtype))
    throw new UsageError(
      `${source.path}: dtype ${show(dtype)} is not known`,
      `Types: ${numericTypes()}`,
    );
  const flat: unknown[] = [];
  const nested = flatten(told['data'], flat, 0, source.path);
  const shape = (told['shape'] ?? nested) as readonly number[];
  if (!Array.isArray(shape) || shape.some((size) => !Number.isSafeInteger(size) || size < 1))
    throw new UsageError(
      `${source.path}: shape ${JSON.stringify(shape)} is no list of sizes of at least 1`,
    );
  if (elementCount(shape) !== flat.length)
    throw new UsageError(
      `${source.path}: ${flat.length} elements do not fill shape [${shape.join(', ')}]`,
      'Lists at the same depth must have the same length.',
    );
  if (dtype === 'string') return stringTensor(source.name, flat.map(String), shape);
  return tensorOf(source.name, arrayFrom(dtype, flat, source.path), shape, dtype);
}

function flatten(value: unknown, into: unknown[], depth: number, file: string): number[] {
  if (!Array.isArray(value)) {
    if (typeof value !== 'number' && typeof value !== 'string' && typeof value !== 'boolean')
      throw new UsageError(`${file}: expected nested lists of numbers, found ${show(value)}`);
    into.push(value);
    return [];
  }
  if (depth >= MAX_RANK) throw new UsageError(`${file}: lists nest deeper than ${MAX_RANK}`);
  let inner: number[] = [];
  for (const item of value) inner = flatten(item, into, depth + 1, file);
  return [value.length, ...inner];
}

function arrayFrom(dtype: DType, values: readonly unknown[], file: string): NumericArray {
  const { array: View, bytes: size } = DTYPES[dtype];
  if (View === undefined || dtype === 'float16')
    throw new UsageError(`${file}: ${dtype} is not read from JSON`, 'Use a .npy file.');
  const array = new View(new ArrayBuffer(values.length * size), 0, values.length);
  const whole = !dtype.startsWith('float');
  values.forEach((value, i) => {
    const number = Number(value);
    if (Number.isNaN(number) || (whole && !Number.isInteger(number)))
      throw new UsageError(`${file}: element ${i} (${String(value)}) is no ${dtype}`);
    if (array instanceof BigInt64Array || array instanceof BigUint64Array)
      array[i] = BigInt(typeof value === 'string' ? value : number);
    else {
      array[i] = number;
      if (whole && array[i] !== number)
        throw new UsageError(`${file}: element ${i} (${String(value)}) does not fit ${dtype}`);
    }
  });
  return array;
}

function numericTypes(): string {
  return Object.keys(DTYPES)
    .filter((dtype) => dtype !== 'string')
    .join(', ');
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
