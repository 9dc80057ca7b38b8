/** Reading bytes that may be anything. */
import { CabstandError } from '@cabstand/core';
import { DTYPES, DTYPE_NUMBERS, dtypeOfNumber, elementCount } from '@cabstand/tensor';
import type { DType } from '@cabstand/tensor';

/** What is wrong with a snapshot, as `metadata.problem` of CHECKPOINT_INVALID. */
export type Problem =
  /** No snapshot at all, cut off, or longer than its contents. */
  | 'format'
  /** Of a version that this engine does not read. */
  | 'version'
  /** Of another model, or of other weights. */
  | 'model'
  /** Its state or input does not have the sizes of the model's. */
  | 'state'
  /** It belongs to another turn, or to none. */
  | 'turn';

export function unfit(problem: Problem, why: string): CabstandError {
  return new CabstandError('CHECKPOINT_INVALID', `snapshot: ${why}`, { metadata: { problem } });
}

export interface Head {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
}

/** `u16 length | name | u8 dtype (as in tensor.proto) | u8 rank | u32 sizes`; data follows. */
export function encodeHead({ name, dtype, shape }: Head): Buffer {
  const text = Buffer.from(name);
  const bytes = Buffer.alloc(2 + text.length + 2 + 4 * shape.length);
  bytes.writeUInt16LE(text.length, 0);
  text.copy(bytes, 2);
  bytes[2 + text.length] = DTYPE_NUMBERS[dtype];
  bytes[3 + text.length] = shape.length;
  shape.forEach((size, axis) => bytes.writeUInt32LE(size, 4 + text.length + 4 * axis));
  return bytes;
}

/** A cursor that never leaves its bytes: what is cut off is CHECKPOINT_INVALID. */
export class ByteReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  take(count: number): Buffer {
    if (count > this.#bytes.length - this.#at)
      throw unfit('format', `${count} bytes are missing at byte ${this.#at}`);
    this.#at += count;
    return this.#bytes.subarray(this.#at - count, this.#at);
  }

  u8(): number {
    return this.take(1).readUInt8(0);
  }

  u16(): number {
    return this.take(2).readUInt16LE(0);
  }

  u32(): number {
    return this.take(4).readUInt32LE(0);
  }

  text(): string {
    return this.take(this.u16()).toString();
  }

  head(): Head {
    const name = this.text();
    const dtype = dtypeOfNumber(this.u8());
    if (dtype === undefined || dtype === 'string')
      throw unfit('format', `tensor ${name} has no dtype of numbers`);
    const shape = Array.from({ length: this.u8() }, () => this.u32());
    return { name, dtype, shape };
  }

  end(): void {
    const left = this.#bytes.length - this.#at;
    if (left !== 0) throw unfit('format', `${left} bytes too many`);
  }
}

/** Data of a tensor that must have this name, dtype and shape. */
export function readExactly(reader: ByteReader, expected: Head): Buffer {
  return dataOf(reader, reader.head(), expected);
}

/** Data behind a head that was read, which must be the expected one. */
export function dataOf(reader: ByteReader, head: Head, expected: Head): Buffer {
  const fits =
    head.name === expected.name &&
    head.dtype === expected.dtype &&
    head.shape.length === expected.shape.length &&
    head.shape.every((size, axis) => size === expected.shape[axis]);
  if (!fits) throw unfit('state', `it holds ${describe(head)}, expected ${describe(expected)}`);
  return reader.take(elementCount(expected.shape) * DTYPES[expected.dtype].bytes);
}

export function u32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32LE(value, 0);
  return bytes;
}

function describe({ name, dtype, shape }: Head): string {
  return `${name.slice(0, 80)}: ${dtype} [${shape.join(', ')}]`;
}
