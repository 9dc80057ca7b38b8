/** INPUT without JSON, as a part of live input comes with every step of its sequence. */
import { invalid } from '@cabstand/core';
import { DTYPES, DTYPE_NUMBERS, dtypeOfNumber, elementCount, isSize } from '@cabstand/tensor';
import type { DType, Tensor } from '@cabstand/tensor';
import { PREFIX, align, malformed, writePrefix, writeText } from './layout';
import { LARGEST_FRAME } from './limits';
import type { InputFrame } from './types';

/** Its type. The one of INPUT means the same with a JSON header, for engines of protocol 3. */
export const PACKED_INPUT = 14;

/** `u8 last | u16 tensors | u32 sequence | u32 turn | u32 part` */
const HEADER = PREFIX + 15;
/** `u8 dtype | u8 rank | u16 bytes of the name | u32 bytes`, then an `f64` for each size, and the name. */
const TENSOR = 8;
const SIZE = 8;
/** Before each string of a string tensor: `u32 bytes`. */
const STRING = 4;
const MOST_TENSORS = 0xffff;
const MOST_NAME = 0xffff;
const MOST_RANK = 0xff;
const ZEROS = Buffer.alloc(SIZE);

/**
 * Writes the frame at a place of `into`, tensors and all. Answers where it ends; -1, having written nothing
 * that counts, where it may not find room.
 */
export function packInput(frame: InputFrame, into: Buffer, at: number): number {
  const contents = frame.inputs.map(contentOf);
  let most = mostBeforeContents(frame.inputs);
  for (const content of contents) most += align(content.byteLength);
  if (at + most > into.length) return -1;
  let end = writeHead(frame, contents, into, at);
  for (const content of contents) {
    into.set(content, end);
    end = writeZeros(into, end + content.byteLength, at);
  }
  writePrefix(into, PACKED_INPUT, end - at, at);
  return end;
}

/** The frame in pieces, which share the memory of its tensors, and their bytes in all. */
export function packInputInPieces(frame: InputFrame): {
  readonly pieces: [Buffer, ...Uint8Array[]];
  readonly total: number;
} {
  const contents = frame.inputs.map(contentOf);
  const memory = Buffer.allocUnsafeSlow(mostBeforeContents(frame.inputs));
  const head = memory.subarray(0, writeHead(frame, contents, memory, 0));
  const pieces: [Buffer, ...Uint8Array[]] = [head];
  let total = head.length;
  for (const content of contents) {
    const { byteLength } = content;
    if (byteLength > 0) pieces.push(content);
    const padding = align(byteLength) - byteLength;
    if (padding > 0) pieces.push(ZEROS.subarray(0, padding));
    total += byteLength + padding;
  }
  if (total > LARGEST_FRAME)
    throw invalid('MESSAGE_TOO_LARGE', 'INPUT frame', total, `at most ${LARGEST_FRAME} bytes`);
  writePrefix(head, PACKED_INPUT, total);
  return { pieces, total };
}

/** Tensors share the payload's memory. */
export function unpackInput(payload: Buffer): InputFrame {
  let at = HEADER - PREFIX;
  if (payload.length < at) throw malformed('INPUT', payload.length, `at least ${at} bytes`);
  const last = payload.readUInt8(0);
  if (last > 1) throw malformed('INPUT last', last, '0 or 1');
  const heads: Head[] = [];
  for (let left = payload.readUInt16LE(1); left > 0; left -= 1) {
    const head = readHead(payload, at);
    heads.push(head);
    at = head.end;
  }
  at = align(PREFIX + at) - PREFIX;
  const inputs = heads.map((head) => {
    const start = at;
    at += align(head.bytes);
    if (at > payload.length)
      throw malformed(`INPUT tensor ${head.name}`, head.bytes, 'a tensor inside the frame');
    return tensorOf(head, payload.subarray(start, start + head.bytes));
  });
  if (at !== payload.length) throw malformed('INPUT', payload.length, `${at} bytes`);
  return {
    type: 'INPUT',
    sequence: payload.readUInt32LE(3),
    turn: payload.readUInt32LE(7),
    part: payload.readUInt32LE(11),
    inputs,
    last: last === 1,
  };
}

/** What stands before a tensor's bytes, and where that ends. */
interface Head {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly bytes: number;
  readonly end: number;
}

function readHead(payload: Buffer, at: number): Head {
  const cut = (): Error => malformed('INPUT', payload.length, 'all heads of its tensors');
  const sizes = at + TENSOR;
  if (sizes > payload.length) throw cut();
  const number = payload.readUInt8(at);
  const names = sizes + SIZE * payload.readUInt8(at + 1);
  const end = names + payload.readUInt16LE(at + 2);
  if (end > payload.length) throw cut();
  const dtype = dtypeOfNumber(number);
  if (dtype === undefined) throw malformed('INPUT dtype', number, 'the number of a dtype');
  const shape: number[] = [];
  for (let place = sizes; place < names; place += SIZE) {
    const size = payload.readDoubleLE(place);
    if (!isSize(size)) throw malformed('INPUT shape', size, 'a size');
    shape.push(size);
  }
  const name = payload.toString('utf8', names, end);
  return { name, dtype, shape, bytes: payload.readUInt32LE(at + 4), end };
}

function tensorOf({ name, dtype, shape }: Head, data: Buffer): Tensor {
  const count = elementCount(shape);
  if (dtype === 'string')
    return { name, dtype, shape, data: NO_BYTES, strings: readStrings(name, data, count) };
  if (data.length !== count * DTYPES[dtype].bytes)
    throw malformed(
      `INPUT tensor ${name}`,
      data.length,
      `the bytes of ${dtype} [${shape.join(', ')}]`,
    );
  return { name, dtype, shape, data };
}

const NO_BYTES = new Uint8Array(0);

function readStrings(name: string, bytes: Buffer, count: number): string[] {
  const strings: string[] = [];
  let at = 0;
  while (at < bytes.length) {
    const start = at + STRING;
    at = start > bytes.length ? start : start + bytes.readUInt32LE(at);
    if (at > bytes.length) break;
    strings.push(bytes.toString('utf8', start, at));
  }
  if (at !== bytes.length || strings.length !== count)
    throw malformed(`INPUT tensor ${name}`, strings.length, `${count} strings and nothing else`);
  return strings;
}

/** Bytes of a tensor. A string tensor has `u32 length | UTF-8` for each string. */
function contentOf({ dtype, data, strings = [] }: Tensor): Uint8Array {
  if (dtype !== 'string') return data;
  const sizes = strings.map((text) => Buffer.byteLength(text));
  const bytes = Buffer.allocUnsafe(sizes.reduce((sum, size) => sum + STRING + size, 0));
  let at = 0;
  strings.forEach((text, index) => {
    at = bytes.writeUInt32LE(sizes[index] ?? 0, at);
    at += bytes.write(text, at);
  });
  return bytes;
}

/** A bound for what stands before the contents: a character has three bytes at most. */
function mostBeforeContents(inputs: readonly Tensor[]): number {
  let most = HEADER + SIZE;
  for (const { name, shape } of inputs) most += TENSOR + SIZE * shape.length + 3 * name.length;
  return most;
}

/** All but the prefix, up to where the contents begin, which it answers. */
function writeHead(
  { sequence, turn, part, inputs, last }: InputFrame,
  contents: readonly Uint8Array[],
  into: Buffer,
  start: number,
): number {
  if (inputs.length > MOST_TENSORS)
    throw malformed('INPUT', inputs.length, `at most ${MOST_TENSORS} tensors`);
  let at = start + PREFIX;
  into[at] = last ? 1 : 0;
  at = into.writeUInt16LE(inputs.length, at + 1);
  at = into.writeUInt32LE(sequence, at);
  at = into.writeUInt32LE(turn, at);
  at = into.writeUInt32LE(part, at);
  for (const [index, { name, dtype, shape }] of inputs.entries()) {
    if (shape.length > MOST_RANK)
      throw malformed('INPUT rank', shape.length, `at most ${MOST_RANK}`);
    const head = at;
    into[head] = DTYPE_NUMBERS[dtype];
    into[head + 1] = shape.length;
    into.writeUInt32LE(contents[index]?.byteLength ?? 0, head + 4);
    at += TENSOR;
    for (const size of shape) at = into.writeDoubleLE(size, at);
    const end = writeText(into, name, at);
    if (end - at > MOST_NAME)
      throw malformed('INPUT name', end - at, `a name of at most ${MOST_NAME} bytes`);
    into.writeUInt16LE(end - at, head + 2);
    at = end;
  }
  return writeZeros(into, at, start);
}

/** Up to a multiple of 8 from `start`: memory that is used again still has what it held. */
function writeZeros(into: Buffer, at: number, start: number): number {
  const end = start + align(at - start);
  for (let index = at; index < end; index += 1) into[index] = 0;
  return end;
}
