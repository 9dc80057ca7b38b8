/** Reads a serialized cabstand.v1.Chunk: verification and tests compare what callers would get. */
import { CabstandError } from '@cabstand/core';
import { DTYPES } from '@cabstand/tensor';
import type { DType, Tensor } from '@cabstand/tensor';

export interface DecodedChunk {
  readonly outputs: readonly Tensor[];
  readonly text: string;
}

const NAMES = Object.keys(DTYPES) as DType[];

export function decodeChunk(bytes: Buffer): DecodedChunk {
  const outputs: Tensor[] = [];
  let text = '';
  for (const { field, value } of fieldsOf(bytes)) {
    if (field === 1) outputs.push(decodeTensor(value as Buffer));
    if (field === 2) text = (value as Buffer).toString();
  }
  return { outputs, text };
}

function decodeTensor(bytes: Buffer): Tensor {
  let name = '';
  let dtype: DType = 'float32';
  let data: Uint8Array = new Uint8Array(0);
  const shape: number[] = [];
  const strings: string[] = [];
  for (const { field, value } of fieldsOf(bytes)) {
    if (typeof value === 'number') {
      if (field === 2) dtype = NAMES[value - 1] ?? dtype;
    } else if (field === 1) name = value.toString();
    else if (field === 3)
      for (let at = 0; at < value.length;) at = readVarint(value, at, (size) => shape.push(size));
    else if (field === 4) data = value;
    else if (field === 5) strings.push(value.toString());
  }
  return dtype === 'string' ? { name, dtype, shape, data, strings } : { name, dtype, shape, data };
}

/** Fields of a serialized message: numbers, and what has a length. */
export function* fieldsOf(bytes: Buffer): Generator<{ field: number; value: Buffer | number }> {
  let at = 0;
  while (at < bytes.length) {
    let tag = 0;
    let number = 0;
    at = readVarint(bytes, at, (value) => (tag = value));
    at = readVarint(bytes, at, (value) => (number = value));
    if ((tag & 7) === 0) yield { field: tag >> 3, value: number };
    else if ((tag & 7) === 2 && at + number <= bytes.length) {
      yield { field: tag >> 3, value: bytes.subarray(at, at + number) };
      at += number;
    } else throw new CabstandError('INTERNAL', `not a chunk: tag ${tag} at byte ${at}`);
  }
}

function readVarint(bytes: Buffer, start: number, take: (value: number) => void): number {
  let value = 0;
  let scale = 1;
  let at = start;
  for (; at < bytes.length; at += 1, scale *= 128) {
    const byte = bytes[at] as number;
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) break;
  }
  take(value);
  return at + 1;
}
