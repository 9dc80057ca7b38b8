/**
 * Records in protobuf, written by hand: on the hot path the engine's serialized chunk is wrapped
 * without being decoded. A test compares every byte's meaning with the loaded contract.
 *
 * `InferenceStreamResponse` and `SessionStreamResponse` both hold their record in field 1, so the
 * same bytes serve either stream, and the journal keeps them whichever stream re-attaches.
 */
import {
  bytesHead,
  fieldSize,
  varintField,
  varintSize,
  writeField,
  writeHead,
} from '@cabstand/core';
import type { CabstandError } from '@cabstand/core';
import type { Generation } from '@cabstand/engine';
import type { Checkpoint, EndReason } from '../types';

/** Field 1 of both response messages; also `Record.position`'s neighbours below. */
const TAG_RESPONSE_RECORD = 0x0a;
const TAG_POSITION = 0x08;
const TAG_TURN = 0x10;
const TAG_EPOCH = 0x18;
const TAG_CHUNK = 0x22;
const TAG_INPUT = 0x32;
const TAG_END_OF_TURN = 0x3a;
const TAG_POINT = 0x58;
const TAG_CHAIN = 0x65;
const TAG_MORE = 0x68;
const TAG_CHECKPOINT = 0x72;
const TAG_KEY = 0x78;
const LENGTH_DELIMITED = 2;

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
  return encodeRecord(header, TAG_CHUNK, [chunk]);
}

/** A response that says that a part of live input was applied. */
export function encodeInput(header: RecordHeader, sequence: number): Buffer {
  const body = Buffer.allocUnsafe(fieldSize(sequence));
  writeField(body, 0, 0x08, sequence);
  return encodeRecord(header, TAG_INPUT, [body]);
}

export interface EndOfTurnBody {
  readonly reason: EndReason;
  readonly steps: number;
  readonly error?: Pick<CabstandError, 'reason' | 'message' | 'metadata'>;
  /** The session as it is after this record. */
  readonly checkpoint?: Checkpoint | undefined;
  /** Why it computed nothing; empty if it did. */
  readonly note?: string;
  /** What became of an answer of a language model. */
  readonly generation?: Generation;
  /** A module waits for the next turn. */
  readonly goesOn?: boolean;
}

/** A response with the record that ends a turn. */
export function encodeEndOfTurn(header: RecordHeader, end: EndOfTurnBody): Buffer {
  const parts: Uint8Array[] = [varintField(0x08, END_REASONS[end.reason])];
  if (end.error !== undefined) parts.push(bytesField(0x12, errorDetail(end.error)));
  if (end.checkpoint !== undefined) parts.push(...checkpointField(0x1a, end.checkpoint));
  parts.push(varintField(0x20, end.steps));
  if (end.note !== undefined && end.note !== '') parts.push(stringField(0x2a, end.note));
  if (end.generation !== undefined) parts.push(bytesField(0x32, generationBytes(end.generation)));
  if (end.goesOn === true) parts.push(varintField(0x38, 1));
  return encodeRecord(header, TAG_END_OF_TURN, parts);
}

const FINISHES = { stop: 1, length: 2 } as const;

function generationBytes({ finish, prompt, cached, answer }: Generation): Buffer {
  return Buffer.concat([
    varintField(0x08, finish === undefined ? 0 : FINISHES[finish]),
    varintField(0x10, prompt),
    varintField(0x18, cached),
    varintField(0x20, answer),
  ]);
}

/** Large as a model's state: in pieces, copied once, into the record. */
function checkpointField(tag: number, { position, sealed }: Checkpoint): Uint8Array[] {
  const fields = [varintField(0x08, position), bytesHead(0x12, sealed.byteLength), sealed];
  return [bytesHead(tag, sizeOf(fields)), ...fields];
}

/** What a record of a module has beside its body. */
export interface ModuleFields {
  /** Number of its body in `Record`. */
  readonly field: number;
  readonly point: number;
  readonly chain: number;
  readonly key: boolean;
  readonly more: boolean;
  readonly checkpoint: Checkpoint | undefined;
}

/** A response with a record of a module around its serialized body. */
export function encodeModuleRecord(
  header: RecordHeader,
  body: Uint8Array,
  { field, point, chain, key, more, checkpoint }: ModuleFields,
): Buffer {
  const tail: Uint8Array[] = [varintField(TAG_POINT, point)];
  if (chain !== 0) tail.push(fixed32Field(TAG_CHAIN, chain));
  if (more) tail.push(varintField(TAG_MORE, 1));
  if (checkpoint !== undefined) tail.push(...checkpointField(TAG_CHECKPOINT, checkpoint));
  if (key) tail.push(varintField(TAG_KEY, 1));
  return encodeRecord(header, (field << 3) | LENGTH_DELIMITED, [body], tail);
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
  body: readonly Uint8Array[],
  /** Fields after the body. */
  tail: readonly Uint8Array[] = [],
): Buffer {
  const { position, turn, epoch } = header;
  const bodySize = sizeOf(body);
  const head = fieldSize(position) + fieldSize(turn) + fieldSize(epoch);
  const size = head + 1 + varintSize(bodySize) + bodySize + sizeOf(tail);
  const out = Buffer.allocUnsafe(1 + varintSize(size) + size);
  let at = writeHead(out, 0, TAG_RESPONSE_RECORD, size);
  at = writeField(out, at, TAG_POSITION, position);
  at = writeField(out, at, TAG_TURN, turn);
  at = writeField(out, at, TAG_EPOCH, epoch);
  at = writeHead(out, at, bodyTag, bodySize);
  for (const piece of [...body, ...tail]) {
    out.set(piece, at);
    at += piece.byteLength;
  }
  return out;
}

function fixed32Field(tag: number, value: number): Buffer {
  const out = Buffer.allocUnsafe(5);
  out[0] = tag;
  out.writeUInt32LE(value, 1);
  return out;
}

function bytesField(tag: number, bytes: Buffer): Buffer {
  return Buffer.concat([bytesHead(tag, bytes.byteLength), bytes]);
}

function stringField(tag: number, text: string): Buffer {
  return bytesField(tag, Buffer.from(text, 'utf8'));
}
