/** STEP and CREDITS, which come with every step, without JSON. */
import { PREFIX, malformed, writePrefix } from './layout';
import { FrameType } from './types';
import { STOP_REASONS } from './module-frames';
import type { HeldItem, NoticeItem, RecordItem } from './module-frames';
import type { Generation } from './language-frames';
import type { CreditsFrame, SnapshotItem, StepFrame, StepItem, TurnEnd } from './types';

/** STEP: `f64 seconds | u32 batch | u32 count`, then the items. */
export const STEP_HEADER = PREFIX + 16;
/** Item: `u8 kind | u32 sequence | u32 turn | u32 length`, then `length` bytes. */
export const ITEM_HEADER = 13;
export const ItemKind = {
  chunk: 1,
  end: 2,
  taken: 3,
  snapshot: 4,
  record: 5,
  notice: 6,
  held: 7,
} as const;
/** Before a snapshot's data: `u32 records | u32 steps | u32 partsTaken | u8 ended`. */
const SNAPSHOT_HEADER = 13;
/** Before a record's body: `u8 field | u8 flags | u32 point | u32 chain`. */
export const RECORD_HEADER = 10;
/** Of a held command: `i32 number | u32 bytes`. */
const HELD = 8;
/** CREDITS: `u32 count`, then `u32 sequence | i32 records | f64 bytes` each. */
const CREDIT = 16;

export function encodeStep(frame: StepFrame): Buffer {
  const bodies = frame.items.map(bodyOf);
  const total = bodies.reduce((sum, body) => sum + ITEM_HEADER + body.length, STEP_HEADER);
  const bytes = Buffer.allocUnsafe(total);
  writePrefix(bytes, FrameType.STEP, total);
  bytes.writeDoubleLE(frame.seconds, PREFIX);
  bytes.writeUInt32LE(frame.batch, PREFIX + 8);
  bytes.writeUInt32LE(frame.items.length, PREFIX + 12);
  let at = STEP_HEADER;
  frame.items.forEach((item, index) => {
    const body = bodies[index];
    if (body === undefined) return;
    bytes[at] = ItemKind[item.kind];
    bytes.writeUInt32LE(item.sequence, at + 1);
    bytes.writeUInt32LE(item.turn, at + 5);
    bytes.writeUInt32LE(body.length, at + 9);
    body.copy(bytes, at + ITEM_HEADER);
    at += ITEM_HEADER + body.length;
  });
  return bytes;
}

function bodyOf(item: StepItem): Buffer {
  switch (item.kind) {
    case 'chunk':
      return item.chunk;
    case 'end':
      return Buffer.from(JSON.stringify(item.end));
    case 'taken': {
      const body = Buffer.allocUnsafe(4);
      body.writeUInt32LE(item.parts, 0);
      return body;
    }
    case 'snapshot':
      return Buffer.concat([snapshotHeader(item), item.data]);
    case 'record': {
      const header = Buffer.allocUnsafe(RECORD_HEADER);
      writeRecordHeader(header, 0, item);
      return Buffer.concat([header, item.body]);
    }
    case 'notice':
      return noticeBody(item);
    case 'held':
      return heldBody(item);
  }
}

export function writeRecordHeader(
  bytes: Buffer,
  at: number,
  { field, flags, point, chain }: Pick<RecordItem, 'field' | 'flags' | 'point' | 'chain'>,
): void {
  bytes[at] = field;
  bytes[at + 1] = flags;
  bytes.writeUInt32LE(point, at + 2);
  bytes.writeUInt32LE(chain, at + 6);
}

/** `u16 length | name | JSON` */
export function noticeBody({ name, json }: Pick<NoticeItem, 'name' | 'json'>): Buffer {
  const nameBytes = Buffer.from(name);
  const length = Buffer.allocUnsafe(2);
  length.writeUInt16LE(nameBytes.length);
  return Buffer.concat([length, nameBytes, Buffer.from(json)]);
}

export function heldBody({ number, bytes }: Pick<HeldItem, 'number' | 'bytes'>): Buffer {
  const body = Buffer.allocUnsafe(HELD);
  body.writeInt32LE(number, 0);
  body.writeUInt32LE(bytes, 4);
  return body;
}

export function snapshotHeader(item: Omit<SnapshotItem, 'kind' | 'data'>): Buffer {
  const header = Buffer.allocUnsafe(SNAPSHOT_HEADER);
  header.writeUInt32LE(item.records, 0);
  header.writeUInt32LE(item.steps, 4);
  header.writeUInt32LE(item.partsTaken, 8);
  header[12] = item.ended ? 1 : 0;
  return header;
}

/** Chunks, records and snapshots share the payload's memory. */
export function decodeStep(payload: Buffer): StepFrame {
  if (payload.length < STEP_HEADER - PREFIX)
    throw malformed('STEP', payload.length, `at least ${STEP_HEADER - PREFIX} bytes`);
  const count = payload.readUInt32LE(12);
  const items: StepItem[] = [];
  let at = STEP_HEADER - PREFIX;
  for (let index = 0; index < count; index += 1) {
    if (at + ITEM_HEADER > payload.length) throw malformed('STEP', count, 'fewer items');
    const sequence = payload.readUInt32LE(at + 1);
    const turn = payload.readUInt32LE(at + 5);
    const start = at + ITEM_HEADER;
    const end = start + payload.readUInt32LE(at + 9);
    if (end > payload.length) throw malformed('STEP item', end, `at most ${payload.length} bytes`);
    items.push(itemOf(payload[at] ?? 0, sequence, turn, payload.subarray(start, end)));
    at = end;
  }
  if (at !== payload.length) throw malformed('STEP', payload.length, `${at} bytes`);
  return {
    type: 'STEP',
    seconds: payload.readDoubleLE(0),
    batch: payload.readUInt32LE(8),
    items,
  };
}

function itemOf(kind: number, sequence: number, turn: number, body: Buffer): StepItem {
  if (kind === ItemKind.chunk) return { kind: 'chunk', sequence, turn, chunk: body };
  if (kind === ItemKind.taken && body.length === 4)
    return { kind: 'taken', sequence, turn, parts: body.readUInt32LE(0) };
  if (kind === ItemKind.snapshot && body.length >= SNAPSHOT_HEADER)
    return {
      kind: 'snapshot',
      sequence,
      turn,
      data: body.subarray(SNAPSHOT_HEADER),
      records: body.readUInt32LE(0),
      steps: body.readUInt32LE(4),
      partsTaken: body.readUInt32LE(8),
      ended: body[12] === 1,
    };
  if (kind === ItemKind.record && body.length >= RECORD_HEADER)
    return {
      kind: 'record',
      sequence,
      turn,
      field: body.readUInt8(0),
      flags: body.readUInt8(1),
      point: body.readUInt32LE(2),
      chain: body.readUInt32LE(6),
      body: body.subarray(RECORD_HEADER),
    };
  if (kind === ItemKind.held && body.length === HELD)
    return {
      kind: 'held',
      sequence,
      turn,
      number: body.readInt32LE(0),
      bytes: body.readUInt32LE(4),
    };
  if (kind === ItemKind.notice) return noticeOf(sequence, turn, body);
  if (kind !== ItemKind.end) throw malformed('STEP item', kind, 'a kind of item');
  let end: unknown;
  try {
    end = JSON.parse(body.toString());
  } catch {
    throw malformed('STEP end', body.toString().slice(0, 80), 'JSON');
  }
  if (!isTurnEnd(end)) throw malformed('STEP end', end, 'an end of turn');
  return { kind: 'end', sequence, turn, end };
}

function noticeOf(sequence: number, turn: number, body: Buffer): NoticeItem {
  const end = 2 + (body.length < 2 ? 0 : body.readUInt16LE(0));
  if (end > body.length) throw malformed('STEP notice', body.length, `at least ${end} bytes`);
  const json = body.toString('utf8', end);
  return { kind: 'notice', sequence, turn, name: body.toString('utf8', 2, end), json };
}

function isTurnEnd(value: unknown): value is TurnEnd {
  if (typeof value !== 'object' || value === null) return false;
  const { reason, steps, error, generation, goesOn } = value as Record<string, unknown>;
  if (!Number.isSafeInteger(steps)) return false;
  if (generation !== undefined && !isGeneration(generation)) return false;
  if (goesOn !== undefined && goesOn !== true) return false;
  if (reason === 'error') return typeof error === 'object' && error !== null;
  return reason === 'completed' || STOP_REASONS.some((stop) => stop === reason);
}

function isGeneration(value: unknown): value is Generation {
  if (typeof value !== 'object' || value === null) return false;
  const { finish, prompt, cached, answer } = value as Record<string, unknown>;
  return (
    (finish === undefined || finish === 'stop' || finish === 'length') &&
    [prompt, cached, answer].every((count) => Number.isSafeInteger(count) && Number(count) >= 0)
  );
}

export function encodeCredits(frame: CreditsFrame): Buffer {
  const total = PREFIX + 4 + frame.credits.length * CREDIT;
  const bytes = Buffer.allocUnsafe(total);
  writePrefix(bytes, FrameType.CREDITS, total);
  bytes.writeUInt32LE(frame.credits.length, PREFIX);
  let at = PREFIX + 4;
  for (const credit of frame.credits) {
    bytes.writeUInt32LE(credit.sequence, at);
    bytes.writeInt32LE(credit.records, at + 4);
    bytes.writeDoubleLE(credit.bytes, at + 8);
    at += CREDIT;
  }
  return bytes;
}

export function decodeCredits(payload: Buffer): CreditsFrame {
  const count = payload.length < 4 ? -1 : payload.readUInt32LE(0);
  if (payload.length !== 4 + count * CREDIT)
    throw malformed('CREDITS', payload.length, `${4 + count * CREDIT} bytes`);
  const credits: CreditsFrame['credits'][number][] = [];
  for (let at = 4; at < payload.length; at += CREDIT) {
    const bytes = payload.readDoubleLE(at + 8);
    if (!Number.isFinite(bytes)) throw malformed('CREDITS bytes', bytes, 'a count');
    credits.push({
      sequence: payload.readUInt32LE(at),
      records: payload.readInt32LE(at + 4),
      bytes,
    });
  }
  return { type: 'CREDITS', credits };
}
