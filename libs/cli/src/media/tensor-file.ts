import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { readNpz } from '@cabstand/model';
import { DTYPES, MAX_RANK, elementCount, isDType, isSize } from '@cabstand/tensor';
import type { DType, Tensor } from '@cabstand/tensor';
import { UsageError } from '../errors';
import { bytes } from '../render/units';
import { parseJsonTensor } from './json-tensor';
import { parseNpy } from './npy';

/** What `--tensor` names. */
export interface TensorSource {
  readonly name: string;
  readonly path: string;
  readonly format: 'npy' | 'npz' | 'json' | 'raw';
  /** Of the array in an npz file; default: the input's name. */
  readonly key?: string | undefined;
  /** For raw bytes. */
  readonly dtype: DType | undefined;
  /** For raw bytes. */
  readonly shape: readonly number[] | undefined;
}

const SYNTAX =
  'NAME=FILE.npy, NAME=FILE.npz:KEY, NAME=FILE.json or NAME=FILE:DTYPE:SHAPE (such as x=in.bin:float32:1x3x48x192)';
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
  const packed = /^(.+\.npz)(?::(.+))?$/i.exec(rest);
  if (packed !== null) {
    const [, file = '', key] = packed;
    return { name, path: file, format: 'npz', key, dtype: undefined, shape: undefined };
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
  if (shape.length > MAX_RANK || !shape.every(isSize))
    throw new UsageError(
      `--tensor ${value}: ${sizes} is no shape`,
      `Up to ${MAX_RANK} sizes of at least 0, such as 1x3x48x192.`,
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
    case 'npz':
      return npzTensor(source, file);
    case 'raw':
      return rawTensor(source, file);
    case 'json':
      return parseJsonTensor(source.name, file.toString('utf8'), source.path, expected);
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

function npzTensor({ name, path: file, key = name }: TensorSource, data: Buffer): Tensor {
  const arrays = readNpz(data, file);
  const found = arrays.get(key);
  if (found === undefined)
    throw new UsageError(
      `${file} has no array ${key}`,
      `It has ${[...arrays.keys()].join(', ') || 'none'}: --tensor ${name}=${file}:KEY`,
    );
  return { ...found, name };
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

function numericTypes(): string {
  return Object.keys(DTYPES)
    .filter((dtype) => dtype !== 'string')
    .join(', ');
}
