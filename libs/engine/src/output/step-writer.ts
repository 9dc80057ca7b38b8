/** Builds STEP frames in place: records are encoded once, straight into the bytes that are written. */
import { CabstandError } from '@cabstand/core';
import { DTYPE_NUMBERS } from '@cabstand/tensor';
import type { DType } from '@cabstand/tensor';
import { PREFIX, writePrefix } from '../frames/layout';
import { ITEM_HEADER, ItemKind, STEP_HEADER, snapshotHeader } from '../frames/packed';
import { DEFAULT_MESSAGE_BYTES, FULL_STEP, largestChunk } from '../frames/limits';
import { FrameType } from '../frames/types';
import type { SnapshotItem, TurnEnd } from '../frames/types';

const SMALLEST = 512;
/** Up to this many bytes a loop beats a call. */
const SHORT = 48;

/** Fields of cabstand.v1 by number and wire type. */
const TAG = {
  outputs: 0x0a,
  text: 0x12,
  name: 0x0a,
  dtype: 0x10,
  shape: 0x1a,
  data: 0x22,
  strings: 0x2a,
};

export class StepWriter {
  readonly #largestChunk: number;
  #buffer = Buffer.allocUnsafe(SMALLEST);
  #at = STEP_HEADER;
  #count = 0;
  #item = 0;
  /** Frames of this step that were full. */
  #full: Buffer[] = [];

  /** @param messageBytes largest message between hosters and clients; no record is much larger */
  constructor(messageBytes = DEFAULT_MESSAGE_BYTES) {
    this.#largestChunk = largestChunk(messageBytes);
  }

  /** Nothing was written since the last frame. */
  get empty(): boolean {
    return this.#count === 0 && this.#full.length === 0;
  }

  beginChunk(sequence: number, turn: number): void {
    this.#begin(ItemKind.chunk, sequence, turn);
  }

  /**
   * One output tensor: what `tensorPrefix` made, then its bytes.
   *
   * @throws CabstandError MESSAGE_TOO_LARGE where the chunk would be larger than any message may be.
   */
  tensor(prefix: Buffer, bytes: Uint8Array, start: number, end: number): void {
    const length = this.#at - this.#item + prefix.length + end - start;
    if (length > this.#largestChunk)
      throw new CabstandError(
        'MESSAGE_TOO_LARGE',
        `the model answers with ${length} bytes or more, a record has at most ${this.#largestChunk}`,
        {
          metadata: {
            field: 'record',
            value: String(length),
            expected: String(this.#largestChunk),
          },
        },
      );
    this.#reserve(prefix.length + end - start);
    this.#copy(prefix, 0, prefix.length);
    this.#copy(bytes, start, end);
  }

  text(text: string): void {
    if (text === '') return;
    const length = Buffer.byteLength(text);
    this.#reserve(length + 6);
    this.#buffer[this.#at] = TAG.text;
    this.#at = writeVarint(this.#buffer, this.#at + 1, length);
    this.#at += this.#buffer.write(text, this.#at);
  }

  /** Takes back the chunk that was begun. */
  dropChunk(): void {
    this.#at = this.#item;
    this.#count -= 1;
  }

  /** Bytes of the chunk. */
  endChunk(): number {
    const length = this.#at - this.#item - ITEM_HEADER;
    this.#buffer.writeUInt32LE(length, this.#item + 9);
    return length;
  }

  end(sequence: number, turn: number, end: TurnEnd): void {
    this.#begin(ItemKind.end, sequence, turn);
    const text = JSON.stringify(end);
    this.#reserve(Buffer.byteLength(text));
    this.#at += this.#buffer.write(text, this.#at);
    this.endChunk();
  }

  taken(sequence: number, turn: number, parts: number): void {
    this.#begin(ItemKind.taken, sequence, turn);
    this.#reserve(4);
    this.#at = this.#buffer.writeUInt32LE(parts, this.#at);
    this.endChunk();
  }

  snapshot(item: Omit<SnapshotItem, 'kind'>): void {
    this.#begin(ItemKind.snapshot, item.sequence, item.turn);
    const header = snapshotHeader(item);
    this.#reserve(header.length + item.data.length);
    this.#copy(header, 0, header.length);
    this.#copy(item.data, 0, item.data.length);
    this.endChunk();
  }

  /** Everything written since the last time: one frame, and before it those that were full. */
  take(batch: number, seconds: number): Buffer[] {
    const frames = [...this.#full, this.#seal(batch, seconds)];
    this.#full = [];
    return frames;
  }

  #seal(batch: number, seconds: number): Buffer {
    const bytes = this.#buffer.subarray(0, this.#at);
    writePrefix(bytes, FrameType.STEP, this.#at);
    bytes.writeDoubleLE(seconds, PREFIX);
    bytes.writeUInt32LE(batch, PREFIX + 8);
    bytes.writeUInt32LE(this.#count, PREFIX + 12);
    // Steps of a running batch are much alike in size.
    this.#buffer = Buffer.allocUnsafe(Math.max(SMALLEST, this.#at + (this.#at >> 3)));
    this.#at = STEP_HEADER;
    this.#count = 0;
    return bytes;
  }

  #begin(kind: number, sequence: number, turn: number): void {
    if (this.#at > FULL_STEP) this.#full.push(this.#seal(0, 0));
    this.#reserve(ITEM_HEADER);
    this.#item = this.#at;
    this.#count += 1;
    this.#buffer[this.#at] = kind;
    this.#buffer.writeUInt32LE(sequence, this.#at + 1);
    this.#buffer.writeUInt32LE(turn, this.#at + 5);
    this.#at += ITEM_HEADER;
  }

  #copy(source: Uint8Array, start: number, end: number): void {
    const buffer = this.#buffer;
    let at = this.#at;
    if (end - start <= SHORT)
      for (let from = start; from < end; from += 1) buffer[at++] = source[from] as number;
    else {
      buffer.set(start === 0 && end === source.length ? source : source.subarray(start, end), at);
      at += end - start;
    }
    this.#at = at;
  }

  #reserve(bytes: number): void {
    if (this.#at + bytes <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#at + bytes));
    this.#buffer.copy(larger, 0, 0, this.#at);
    this.#buffer = larger;
  }
}

/** Everything of a chunk's output tensor before its `byteLength` bytes of data. */
export function tensorPrefix(
  name: string,
  dtype: DType,
  shape: readonly number[],
  byteLength: number,
): Buffer {
  const head = tensorHead(name, dtype, shape);
  const dataHead = [TAG.data, ...varint(byteLength)];
  const length = head.length + dataHead.length + byteLength;
  return Buffer.from([TAG.outputs, ...varint(length), ...head, ...dataHead]);
}

/** A chunk's whole output tensor of strings. */
export function stringTensorBytes(
  name: string,
  shape: readonly number[],
  strings: readonly string[],
): Buffer {
  const body = [tensorHead(name, 'string', shape)];
  for (const text of strings) {
    const bytes = Buffer.from(text);
    body.push(Buffer.from([TAG.strings, ...varint(bytes.length)]), bytes);
  }
  const bytes = Buffer.concat(body);
  return Buffer.concat([Buffer.from([TAG.outputs, ...varint(bytes.length)]), bytes]);
}

function tensorHead(name: string, dtype: DType, shape: readonly number[]): Buffer {
  const nameBytes = Buffer.from(name);
  const sizes = shape.flatMap((size) => varint(size));
  return Buffer.from([
    TAG.name,
    ...varint(nameBytes.length),
    ...nameBytes,
    TAG.dtype,
    DTYPE_NUMBERS[dtype],
    ...(sizes.length === 0 ? [] : [TAG.shape, ...varint(sizes.length), ...sizes]),
  ]);
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  let left = value;
  while (left > 0x7f) {
    bytes.push((left % 0x80) | 0x80);
    left = Math.floor(left / 0x80);
  }
  bytes.push(left);
  return bytes;
}

function writeVarint(buffer: Buffer, at: number, value: number): number {
  let position = at;
  for (const byte of varint(value)) buffer[position++] = byte;
  return position;
}
