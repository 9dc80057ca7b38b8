/** Datatypes of the Open Inference Protocol, and elements as raw bytes. */
import { invalid } from '@cabstand/core';
import { DTYPES, MAX_RANK, elementCount, isSize, stringTensor } from '@cabstand/tensor';
import type { DType, Tensor } from '@cabstand/tensor';

export const DATATYPES: Readonly<Record<DType, string>> = {
  bool: 'BOOL',
  uint8: 'UINT8',
  uint16: 'UINT16',
  uint32: 'UINT32',
  uint64: 'UINT64',
  int8: 'INT8',
  int16: 'INT16',
  int32: 'INT32',
  int64: 'INT64',
  float16: 'FP16',
  float32: 'FP32',
  float64: 'FP64',
  string: 'BYTES',
};

const DTYPES_BY_DATATYPE = new Map(
  (Object.entries(DATATYPES) as [DType, string][]).map(([dtype, datatype]) => [datatype, dtype]),
);

/** Bytes in front of each element of BYTES: how long it is. */
const LENGTH_BYTES = 4;

/** Throws INPUT_DTYPE. No model takes BF16. */
export function dtypeOf(input: string, datatype: string): DType {
  const dtype = DTYPES_BY_DATATYPE.get(datatype);
  if (dtype !== undefined) return dtype;
  const known = [...DTYPES_BY_DATATYPE.keys()].join(', ');
  throw invalid('INPUT_DTYPE', `input ${JSON.stringify(input)} datatype`, datatype, known);
}

/** Throws INPUT_RANK or INPUT_SHAPE. */
export function checkShape(input: string, shape: readonly number[]): readonly number[] {
  const field = `input ${JSON.stringify(input)} shape`;
  if (shape.length > MAX_RANK)
    throw invalid(
      'INPUT_RANK',
      field,
      `${shape.length} dimensions`,
      `at most ${MAX_RANK} dimensions`,
    );
  if (!shape.every(isSize)) throw invalid('INPUT_SHAPE', field, shape, 'sizes of at least 0');
  if (!Number.isSafeInteger(elementCount(shape)))
    throw invalid('INPUT_SHAPE', field, shape, 'fewer elements');
  return shape;
}

/** A tensor over raw bytes, whose memory it shares. Throws INPUT_BYTES or INPUT_TEXT. */
export function fromRaw(
  name: string,
  dtype: DType,
  shape: readonly number[],
  raw: Uint8Array,
): Tensor {
  if (dtype === 'string') return stringTensor(name, rawStrings(name, shape, raw), shape);
  const bytes = elementCount(shape) * DTYPES[dtype].bytes;
  if (raw.byteLength !== bytes)
    throw invalid(
      'INPUT_BYTES',
      `input ${JSON.stringify(name)} data`,
      `${raw.byteLength} bytes`,
      `${bytes} bytes for ${DATATYPES[dtype]} [${shape.join(', ')}]`,
    );
  return { name, dtype, shape, data: raw };
}

/** Never more strings than the bytes can hold, whatever the shape says. */
function rawStrings(name: string, shape: readonly number[], raw: Uint8Array): string[] {
  const field = `input ${JSON.stringify(name)} data`;
  const count = elementCount(shape);
  const view = Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength);
  const strings: string[] = [];
  let at = 0;
  while (at < view.length) {
    const start = at + LENGTH_BYTES;
    const end = start > view.length ? Infinity : start + view.readUInt32LE(at);
    if (end > view.length)
      throw invalid(
        'INPUT_BYTES',
        field,
        `${view.length - at} bytes for element ${strings.length}`,
        '4 bytes of length, then that many bytes',
      );
    if (strings.length === count) throw wrongCount(field, 'more', shape);
    strings.push(textOf(field, view.subarray(start, end)));
    at = end;
  }
  if (strings.length < count) throw wrongCount(field, String(strings.length), shape);
  return strings;
}

function wrongCount(field: string, got: string, shape: readonly number[]): Error {
  const expected = `${elementCount(shape)} elements for BYTES [${shape.join(', ')}]`;
  return invalid('INPUT_BYTES', field, `${got} elements`, expected);
}

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Throws INPUT_TEXT for what is no UTF-8. */
export function textOf(field: string, bytes: Uint8Array): string {
  try {
    return UTF8.decode(bytes);
  } catch {
    throw invalid('INPUT_TEXT', field, `${bytes.byteLength} bytes`, 'UTF-8');
  }
}

/** The elements as raw bytes; shares memory where it can. */
export function toRaw({ data, dtype, strings = [] }: Tensor): Buffer {
  if (dtype !== 'string') return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  const pieces: Buffer[] = [];
  for (const text of strings) {
    const bytes = Buffer.from(text);
    const length = Buffer.alloc(LENGTH_BYTES);
    length.writeUInt32LE(bytes.length);
    pieces.push(length, bytes);
  }
  return Buffer.concat(pieces);
}
