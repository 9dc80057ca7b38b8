/** Builds STEP frames in place: records are encoded once, straight into the bytes that are written. */
import { CabstandError, bytesHead, varint, writeVarint } from '@cabstand/core';
import { DTYPE_NUMBERS } from '@cabstand/tensor';
import type { DType } from '@cabstand/tensor';
import { PREFIX, writePrefix } from '../frames/layout';
import {
  ITEM_HEADER,
  ItemKind,
  RECORD_HEADER,
  STEP_HEADER,
  heldBody,
  noticeBody,
  snapshotHeader,
  writeRecordHeader,
} from '../frames/packed';
import { DEFAULT_MESSAGE_BYTES, FULL_STEP, largestChunk } from '../frames/limits';
import { FrameType } from '../frames/types';
import type { HeldItem, NoticeItem, RecordItem } from '../frames/module-frames';
import type { SnapshotItem, TurnEnd } from '../frames/types';
import { SpareMemory } from './spare-memory';

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

/** What is said of a record beside its body. */
export type RecordHead = Pick<RecordItem, 'field' | 'flags' | 'point' | 'chain'>;

export class StepWriter {
  readonly #largestChunk: number;
  readonly #memory: SpareMemory;
  #buffer = Buffer.allocUnsafe(SMALLEST);
  #at = STEP_HEADER;
  #count = 0;
  #item = 0;
  #head: RecordHead = { field: 0, flags: 0, point: 0, chain: 0 };
  /** Frames of this step that were full. */
  #full: Buffer[] = [];

  /**
   * @param messageBytes largest message between hosters and clients; no record is much larger
   * @param memory where frames come back that were written
   */
  constructor(messageBytes = DEFAULT_MESSAGE_BYTES, memory = new SpareMemory()) {
    this.#memory = memory;
    this.#largestChunk = largestChunk(messageBytes);
  }

  /** Nothing was written since the last frame. */
  get empty(): boolean {
    return this.#count === 0 && this.#full.length === 0;
  }

  beginChunk(sequence: number, turn: number): void {
    this.#begin(ItemKind.chunk, sequence, turn);
  }

  /** Its body follows: `tensor` and `text` for a chunk, `bytes` for any other message. */
  beginRecord(sequence: number, turn: number, head: RecordHead): void {
    this.#begin(ItemKind.record, sequence, turn);
    this.#reserve(RECORD_HEADER);
    this.#at += RECORD_HEADER;
    this.#head = head;
  }

  /** The record's body so far; shares memory with what is written until the writer is used again. */
  get body(): Buffer {
    return this.#buffer.subarray(this.#item + ITEM_HEADER + RECORD_HEADER, this.#at);
  }

  /**
   * Bytes of the record's body.
   *
   * @param known what was not known when it began: the chain, say, goes over the body
   */
  endRecord(known: Partial<RecordHead> = {}): number {
    writeRecordHeader(this.#buffer, this.#item + ITEM_HEADER, { ...this.#head, ...known });
    return this.endChunk() - RECORD_HEADER;
  }

  /** Takes the record that was begun out again, for `record` to write later. */
  keepRecord(known: Partial<RecordHead> = {}): RecordItem {
    const body = Buffer.from(this.body);
    const sequence = this.#buffer.readUInt32LE(this.#item + 1);
    const turn = this.#buffer.readUInt32LE(this.#item + 5);
    this.dropChunk();
    return { kind: 'record', sequence, turn, ...this.#head, ...known, body };
  }

  /** A record that was kept. Bytes of its body. */
  record(item: RecordItem): number {
    const { sequence, turn, field, flags, point, chain, body } = item;
    this.beginRecord(sequence, turn, { field, flags, point, chain });
    this.bytes(body);
    return this.endRecord();
  }

  /**
   * Serialized fields.
   *
   * @throws CabstandError MESSAGE_TOO_LARGE where the record would be larger than any message may be.
   */
  bytes(serialized: Uint8Array): void {
    this.#checkRoom(serialized.length);
    this.#reserve(serialized.length);
    this.#copy(serialized, 0, serialized.length);
  }

  held(item: Omit<HeldItem, 'kind'>): void {
    this.#begin(ItemKind.held, item.sequence, item.turn);
    this.bytes(heldBody(item));
    this.endChunk();
  }

  notice(notice: Omit<NoticeItem, 'kind'>): void {
    this.#begin(ItemKind.notice, notice.sequence, notice.turn);
    this.bytes(noticeBody(notice));
    this.endChunk();
  }

  /**
   * One output tensor: what `tensorPrefix` made, then its bytes.
   *
   * @throws CabstandError MESSAGE_TOO_LARGE where the chunk would be larger than any message may be.
   */
  tensor(prefix: Buffer, bytes: Uint8Array, start: number, end: number): void {
    this.#checkRoom(prefix.length + end - start);
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

  /** Takes back the chunk or record that was begun. */
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
    this.#buffer = this.#memory.take(Math.max(SMALLEST, this.#at + (this.#at >> 3)));
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

  #checkRoom(bytes: number): void {
    const length = this.#at - this.#item + bytes;
    if (length <= this.#largestChunk) return;
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
    const larger = this.#memory.take(Math.max(this.#buffer.length * 2, this.#at + bytes));
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
  const dataHead = bytesHead(TAG.data, byteLength);
  const length = head.length + dataHead.length + byteLength;
  return Buffer.concat([bytesHead(TAG.outputs, length), head, dataHead]);
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
    body.push(bytesHead(TAG.strings, bytes.length), bytes);
  }
  const bytes = Buffer.concat(body);
  return Buffer.concat([bytesHead(TAG.outputs, bytes.length), bytes]);
}

function tensorHead(name: string, dtype: DType, shape: readonly number[]): Buffer {
  const nameBytes = Buffer.from(name);
  const sizes = Buffer.concat(shape.map(varint));
  return Buffer.concat([
    bytesHead(TAG.name, nameBytes.length),
    nameBytes,
    Buffer.from([TAG.dtype, DTYPE_NUMBERS[dtype]]),
    ...(sizes.length === 0 ? [] : [bytesHead(TAG.shape, sizes.length), sizes]),
  ]);
}
