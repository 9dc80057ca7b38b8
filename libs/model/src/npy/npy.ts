/**
 * NumPy's .npy format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
 */
import { CabstandError } from '@cabstand/core';
import { DTYPES, MAX_RANK, elementCount, stringTensor } from '@cabstand/tensor';
import type { DType, Tensor } from '@cabstand/tensor';
import { decodeText, textBytes, textWidth } from './text';

const MAGIC = Buffer.from('\u0093NUMPY', 'latin1');

/** NumPy's type codes, little-endian or of one byte. */
const BY_DESCR: Readonly<Record<string, DType>> = {
  '<f4': 'float32',
  '<f8': 'float64',
  '<f2': 'float16',
  '|i1': 'int8',
  '<i2': 'int16',
  '<i4': 'int32',
  '<i8': 'int64',
  '|u1': 'uint8',
  '<u2': 'uint16',
  '<u4': 'uint32',
  '<u8': 'uint64',
  '|b1': 'bool',
};

/** The header's end is at a multiple of this, as numpy.save has it. */
const ALIGNMENT = 64;

/**
 * The tensor shares the file's memory, except for text (`<U…`).
 *
 * @param path named in errors.
 * @throws CabstandError INVALID_ARGUMENT saying what is wrong with the file.
 */
export function readNpy(name: string, file: Buffer, path: string): Tensor {
  if (!file.subarray(0, MAGIC.length).equals(MAGIC))
    throw wrong(path, 'it does not start with the NumPy signature');
  const version = file[6];
  const wide = version !== 1;
  if (file.length < (wide ? 12 : 10) || version === undefined || version < 1 || version > 3)
    throw wrong(path, `version ${String(version)} is not known`);
  const start = wide ? 12 : 10;
  const length = wide ? file.readUInt32LE(8) : file.readUInt16LE(8);
  if (start + length > file.length) throw wrong(path, 'its header is cut off');
  const header = file.toString('latin1', start, start + length);

  const descr = /'descr'\s*:\s*'([^']*)'/.exec(header)?.[1];
  const order = /'fortran_order'\s*:\s*(True|False)/.exec(header)?.[1];
  const sizes = /'shape'\s*:\s*\(([0-9,\sL]*)\)/.exec(header)?.[1];
  if (order === undefined || sizes === undefined)
    throw wrong(path, 'its header lacks fortran_order or shape');
  if (descr?.startsWith('|O') === true)
    throw wrong(
      path,
      `it holds Python objects (type ${descr}): for text save array.astype('U'), for numbers array.astype('float32') or another type of fixed size`,
    );
  const width = descr === undefined ? undefined : textWidth(descr);
  const dtype = width === undefined ? BY_DESCR[descr ?? ''] : 'string';
  if (dtype === undefined)
    throw wrong(
      path,
      `its type ${descr ?? '(a structure)'} is not one of ${Object.keys(BY_DESCR).join(' ')} <U…`,
    );
  const shape = sizes
    .split(',')
    .map((size) => size.trim())
    .filter((size) => size !== '')
    .map(Number);
  if (shape.length > MAX_RANK) throw wrong(path, `it has ${shape.length} dimensions`);
  if (order === 'True' && shape.length > 1)
    throw wrong(path, 'it is in Fortran order: save numpy.ascontiguousarray(array)');
  const data = file.subarray(start + length);
  const element = width === undefined ? DTYPES[dtype].bytes : textBytes(width);
  const expected = elementCount(shape) * element;
  if (data.length !== expected)
    throw wrong(path, `it holds ${data.length} bytes, its shape needs ${expected}`);
  if (width === undefined) return { name, dtype, shape, data };
  const strings = decodeText(data, width);
  if (strings === undefined) throw wrong(path, 'it holds code points that are no characters');
  return stringTensor(name, strings, shape);
}

/** What `numpy.load` reads: version 1.0, little-endian, C order. Not for text. */
export function writeNpy({ name, dtype, shape, data }: Tensor): Buffer {
  const descr = Object.entries(BY_DESCR).find(([, type]) => type === dtype)?.[0];
  if (descr === undefined)
    throw new CabstandError('INPUT_DTYPE', `tensor ${name}: ${dtype} is not written to .npy files`);
  // A tuple of one needs its comma.
  const sizes = shape.length === 1 ? `${shape[0]},` : shape.join(', ');
  const text = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${sizes}), }`;
  const before = MAGIC.length + 4;
  const length = Math.ceil((before + text.length + 1) / ALIGNMENT) * ALIGNMENT - before;
  const head = Buffer.alloc(before);
  MAGIC.copy(head);
  head[MAGIC.length] = 1;
  head.writeUInt16LE(length, before - 2);
  return Buffer.concat([head, Buffer.from(`${text.padEnd(length - 1)}\n`, 'latin1'), data]);
}

function wrong(path: string, what: string): CabstandError {
  return new CabstandError(
    'INVALID_ARGUMENT',
    `${path} is not a .npy file that can be read: ${what}`,
    { metadata: { file: path } },
  );
}
