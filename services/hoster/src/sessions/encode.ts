/**
 * Records in protobuf, written by hand: on the hot path the engine's serialized chunk is wrapped
 * without being decoded. A test compares every byte's meaning with the loaded contract.
 *
 * `InferenceStreamResponse` and `SessionStreamResponse` both hold their record in field 1, so the
 * same bytes serve either stream, and the journal keeps them whichever stream re-attaches.
 */
import type { CabstandError } from '@cabstand/core';
import type { Checkpoint, EndReason } from './types';

/** Field 1 of both response messages; also `Record.position`'s neighbours below. */
const TAG_RESPONSE_RECORD = 0x0a;
const TAG_POSITION = 0x08;
const TAG_TURN = 0x10;
const TAG_EPOCH = 0x18;
const TAG_CHUNK = 0x22;
const TAG_INPUT = 0x32;
const TAG_END_OF_TURN = 0x3a;

const END_REASONS: Readonly<Record<EndReason, number>> = {
  completed: 1,
  stopped: 2,
  cancelled: 3,
  timed_out: 4,
  evicted: 5,
  migrated: 6,
  lost: 7,
  error: 8,
};

export interface RecordHeader {
  readonly position: number;
  readonly turn: number;
  /** Counter of the epoch. */
  readonly epoch: number;
}

/** A response with a chunk record around the engine's serialized `Chunk`. */
export function encodeChunk(header: RecordHeader, chunk: Uint8Array): Buffer {
  return encodeRecord(header, TAG_CHUNK, chunk);
}

/** A response that says that a part of live input was applied. */
export function encodeInput(header: RecordHeader, sequence: number): Buffer {
  const body = Buffer.allocUnsafe(fieldSize(sequence));
  writeField(body, 0, 0x08, sequence);
  return encodeRecord(header, TAG_INPUT, body);
}

export interface EndOfTurnBody {
  readonly reason: EndReason;
  readonly steps: number;
  readonly error?: Pick<CabstandError, 'reason' | 'message' | 'metadata'>;
  /** The session as it is after this record. */
  readonly checkpoint?: Checkpoint | undefined;
  /** Why it computed nothing; empty if it did. */
  readonly note?: string;
}

/** A response with the record that ends a turn. */
export function encodeEndOfTurn(header: RecordHeader, end: EndOfTurnBody): Buffer {
  const parts: Uint8Array[] = [varintField(0x08, END_REASONS[end.reason])];
  if (end.error !== undefined) parts.push(bytesField(0x12, errorDetail(end.error)));
  if (end.checkpoint !== undefined) {
    const { position, sealed } = end.checkpoint;
    // Large as a model's state: copied once, into the record.
    const fields = [varintField(0x08, position), bytesHead(0x12, sealed.byteLength), sealed];
    parts.push(bytesHead(0x1a, sizeOf(fields)), ...fields);
  }
  parts.push(varintField(0x20, end.steps));
  if (end.note !== undefined && end.note !== '') parts.push(stringField(0x2a, end.note));
  return encodeRecord(header, TAG_END_OF_TURN, ...parts);
}

const sizeOf = (pieces: readonly Uint8Array[]): number =>
  pieces.reduce((sum, { byteLength }) => sum + byteLength, 0);

function errorDetail(error: NonNullable<EndOfTurnBody['error']>): Buffer {
  const parts = [stringField(0x0a, error.reason), stringField(0x12, error.message)];
  for (const [key, value] of Object.entries(error.metadata))
    parts.push(bytesField(0x1a, Buffer.concat([stringField(0x0a, key), stringField(0x12, value)])));
  return Buffer.concat(parts);
}

function encodeRecord(
  header: RecordHeader,
  bodyTag: number,
  ...body: readonly Uint8Array[]
): Buffer {
  const { position, turn, epoch } = header;
  const bodySize = sizeOf(body);
  const size =
    fieldSize(position) + fieldSize(turn) + fieldSize(epoch) + 1 + varintSize(bodySize) + bodySize;
  const out = Buffer.allocUnsafe(1 + varintSize(size) + size);
  out[0] = TAG_RESPONSE_RECORD;
  let at = writeVarint(out, 1, size);
  at = writeField(out, at, TAG_POSITION, position);
  at = writeField(out, at, TAG_TURN, turn);
  at = writeField(out, at, TAG_EPOCH, epoch);
  out[at++] = bodyTag;
  at = writeVarint(out, at, bodySize);
  for (const piece of body) {
    out.set(piece, at);
    at += piece.byteLength;
  }
  return out;
}

/** Zero is the default of proto3 and is left out. */
function fieldSize(value: number): number {
  return value === 0 ? 0 : 1 + varintSize(value);
}

function writeField(out: Buffer, at: number, tag: number, value: number): number {
  if (value === 0) return at;
  out[at] = tag;
  return writeVarint(out, at + 1, value);
}

function varintSize(value: number): number {
  let size = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) size++;
  return size;
}

/** Division, not shifts: positions go beyond 32 bits. */
function writeVarint(out: Buffer, at: number, value: number): number {
  let rest = value;
  while (rest >= 0x80) {
    out[at++] = (rest % 0x80) | 0x80;
    rest = Math.floor(rest / 0x80);
  }
  out[at++] = rest;
  return at;
}

function varintField(tag: number, value: number): Buffer {
  const out = Buffer.allocUnsafe(fieldSize(value));
  writeField(out, 0, tag, value);
  return out;
}

function bytesField(tag: number, bytes: Buffer): Buffer {
  return Buffer.concat([bytesHead(tag, bytes.byteLength), bytes]);
}

function bytesHead(tag: number, length: number): Buffer {
  const head = Buffer.allocUnsafe(1 + varintSize(length));
  head[0] = tag;
  writeVarint(head, 1, length);
  return head;
}

function stringField(tag: number, text: string): Buffer {
  return bytesField(tag, Buffer.from(text, 'utf8'));
}
