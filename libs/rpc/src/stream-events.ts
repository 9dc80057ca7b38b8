/**
 * Responses of a session's streams, as their readers take them. Nearly all are records with a chunk: those are read
 * by hand.
 */
import { OrdinaryReader, ordinary, unusual } from './ordinary';
import { codecs } from './proto';
import type { SessionStreamResponse__Output, Tensor__Output } from './v1';

/** Tags: field number × 8 + wire type. */
const RECORD = 0x0a;
const NOTICE = 0x12;
const CLOSED = 0x1a;
const MORE_EVENTS = 0x22;
const POSITION = 0x08;
const TURN = 0x10;
const EPOCH = 0x18;
const CHUNK = 0x22;
const POINT = 0x58;
const CHAIN = 0x65;
const MORE = 0x68;
const KEY = 0x78;
const OUTPUT = 0x0a;
const TEXT = 0x12;

/** A record with a chunk, and without a checkpoint. */
export interface ChunkRecord {
  position: number;
  turn: number;
  epoch: number;
  point: number;
  chain: number;
  more: boolean;
  key: boolean;
  outputs: Tensor__Output[];
  text: string;
  /** The `Chunk` as it came, for who passes it on. */
  bytes: Buffer;
}

/** One event of a response; what is in `more` of it was given as events of their own. */
export type StreamEvent = ChunkRecord | SessionStreamResponse__Output;

/**
 * The events of a `SessionStreamResponse`, in order. An `InferenceStreamResponse` has its only one in the same
 * fields. Throws where the bytes are none.
 */
export function readEvents(bytes: Buffer): readonly StreamEvent[] {
  const events = ordinary(() => eventsOf(bytes));
  if (events !== undefined) return events;
  const whole = codecs.SessionStreamResponse.decode(bytes);
  return [whole, ...whole.more];
}

function eventsOf(bytes: Buffer): StreamEvent[] {
  const reader = new OrdinaryReader(bytes, 0);
  const tag = reader.tag(0);
  if (tag !== RECORD && tag !== NOTICE && tag !== CLOSED) unusual();
  let end = reader.end(bytes.length);
  const events = [eventOf(bytes, 0, end)];
  for (reader.at = end; reader.at < bytes.length; reader.at = end) {
    if (reader.tag(0) !== MORE_EVENTS) unusual();
    end = reader.end(bytes.length);
    events.push(eventOf(bytes, reader.at, end));
  }
  return events;
}

function eventOf(bytes: Buffer, from: number, to: number): StreamEvent {
  const chunk = bytes[from] === RECORD ? ordinary(() => chunkRecord(bytes, from, to)) : undefined;
  return chunk ?? codecs.SessionStreamResponse.decode(bytes.subarray(from, to));
}

function chunkRecord(bytes: Buffer, from: number, to: number): ChunkRecord {
  const reader = new OrdinaryReader(bytes, from + 1);
  if (reader.end(to) !== to) unusual();
  const record: ChunkRecord = {
    position: 0,
    turn: 0,
    epoch: 0,
    point: 0,
    chain: 0,
    more: false,
    key: false,
    outputs: [],
    text: '',
    bytes: NOTHING,
  };
  for (let newest = 0; reader.at < to;) {
    const tag = reader.tag(newest);
    newest = tag;
    if (tag === POSITION) record.position = reader.number();
    else if (tag === TURN) record.turn = reader.number();
    else if (tag === EPOCH) record.epoch = reader.number();
    else if (tag === CHUNK) readChunk(reader, reader.end(to), record);
    else if (tag === POINT) record.point = reader.number();
    else if (tag === CHAIN) record.chain = reader.fixed32();
    else if (tag === MORE) record.more = reader.number() !== 0;
    else if (tag === KEY) record.key = reader.number() !== 0;
    else unusual();
  }
  // Another body, or none.
  if (reader.at !== to || record.bytes === NOTHING) unusual();
  return record;
}

const NOTHING = Buffer.alloc(0);

function readChunk(reader: OrdinaryReader, end: number, record: ChunkRecord): void {
  record.bytes = reader.bytes.subarray(reader.at, end);
  for (let newest = 0; reader.at < end;) {
    const tag = reader.tag(newest, OUTPUT);
    newest = tag;
    if (tag === OUTPUT) reader.tensorTo(record.outputs, end);
    else if (tag === TEXT) record.text = reader.taken(reader.end(end)).toString();
    else unusual();
  }
  if (reader.at !== end) unusual();
}
