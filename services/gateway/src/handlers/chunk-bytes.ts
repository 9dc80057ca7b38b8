import type { RecordEvent } from '@cabstand/client/protocol';
import { fieldSize, varintSize, writeField, writeHead } from '@cabstand/core';
import { Encoded } from '@cabstand/rpc';

export type ChunkRecord = Extract<RecordEvent, { body: 'chunk' }>;

const TAG_RESPONSE_RECORD = 0x0a;
const TAG_POSITION = 0x08;
const TAG_TURN = 0x10;
const TAG_EPOCH = 0x18;
const TAG_CHUNK = 0x22;
const TAG_POINT = 0x58;
const TAG_KEY = 0x78;

/**
 * A response with the record, in its caller's epoch: the chunk as its hoster wrote it in a new envelope, which is
 * written by hand, as chunks are nearly all that goes through a gateway. Undefined where the chunk did not come as bytes.
 *
 * `InferenceStreamResponse` and `SessionStreamResponse` both hold their record in field 1: the same bytes serve both.
 */
export function encodedChunk(record: ChunkRecord, epoch: number): Encoded | undefined {
  const { position, turn, point = 0, key = false, wire } = record;
  if (wire === undefined) return undefined;
  const { length } = wire;
  const size =
    fieldSize(position) +
    fieldSize(turn) +
    fieldSize(epoch) +
    (1 + varintSize(length) + length) +
    fieldSize(point) +
    (key ? 2 : 0);
  const out = Buffer.allocUnsafe(1 + varintSize(size) + size);
  let at = writeHead(out, 0, TAG_RESPONSE_RECORD, size);
  at = writeField(out, at, TAG_POSITION, position);
  at = writeField(out, at, TAG_TURN, turn);
  at = writeField(out, at, TAG_EPOCH, epoch);
  at = writeHead(out, at, TAG_CHUNK, length);
  out.set(wire, at);
  at = writeField(out, at + length, TAG_POINT, point);
  writeField(out, at, TAG_KEY, key ? 1 : 0);
  return new Encoded(out);
}
