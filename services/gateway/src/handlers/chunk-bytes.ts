/**
 * Chunks in protobuf, written by hand: they are nearly all that goes through a gateway, and tensors of one output
 * have the same form from record to record. A test compares every byte's meaning with the loaded contract.
 *
 * `InferenceStreamResponse` and `SessionStreamResponse` both hold their record in field 1: the same bytes serve both.
 */
import type { RecordEvent } from '@cabstand/client/protocol';
import { fieldSize, varintSize, writeField, writeHead } from '@cabstand/core';
import { Encoded, codecs } from '@cabstand/rpc';
import { DTYPES } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';

export type ChunkRecord = Extract<RecordEvent, { body: 'chunk' }>;

const TAG_RESPONSE_RECORD = 0x0a;
const TAG_POSITION = 0x08;
const TAG_TURN = 0x10;
const TAG_EPOCH = 0x18;
const TAG_CHUNK = 0x22;
const TAG_POINT = 0x58;
const TAG_KEY = 0x78;
const TAG_OUTPUT = 0x0a;
const TAG_TEXT = 0x12;
const TAG_DATA = 0x22;

/** Outputs of all models that are used now; beyond that all are made anew. */
const MOST_FORMS = 1000;
/** Name, dtype and shape of a tensor as they are written, by just these. */
const forms = new Map<string, Buffer>();

/** A response with the record, in its caller's epoch. Undefined where tensors hold texts. */
export function encodedChunk(record: ChunkRecord, epoch: number): Encoded | undefined {
  const { position, turn, point = 0, key = false, tensors } = record;
  const written: { readonly form: Buffer; readonly data: Uint8Array; readonly size: number }[] = [];
  let chunkSize = 0;
  for (const tensor of tensors) {
    if (tensor.strings !== undefined) return undefined;
    const form = formOf(tensor);
    const { data } = tensor;
    const size = form.length + bytesSize(data.byteLength);
    written.push({ form, data, size });
    chunkSize += 1 + varintSize(size) + size;
  }
  const text = record.text === '' ? undefined : Buffer.from(record.text);
  if (text !== undefined) chunkSize += bytesSize(text.length);
  const size =
    fieldSize(position) +
    fieldSize(turn) +
    fieldSize(epoch) +
    (1 + varintSize(chunkSize) + chunkSize) +
    fieldSize(point) +
    (key ? 2 : 0);
  const out = Buffer.allocUnsafe(1 + varintSize(size) + size);
  let at = writeHead(out, 0, TAG_RESPONSE_RECORD, size);
  at = writeField(out, at, TAG_POSITION, position);
  at = writeField(out, at, TAG_TURN, turn);
  at = writeField(out, at, TAG_EPOCH, epoch);
  at = writeHead(out, at, TAG_CHUNK, chunkSize);
  for (const { form, data, size: tensorSize } of written) {
    at = writeHead(out, at, TAG_OUTPUT, tensorSize);
    out.set(form, at);
    at = writeBytes(out, at + form.length, TAG_DATA, data);
  }
  if (text !== undefined) at = writeBytes(out, at, TAG_TEXT, text);
  at = writeField(out, at, TAG_POINT, point);
  writeField(out, at, TAG_KEY, key ? 1 : 0);
  return new Encoded(out);
}

function formOf({ name, dtype, shape }: Tensor): Buffer {
  const key = `${dtype} ${shape.join()} ${name}`;
  let form = forms.get(key);
  if (form === undefined) {
    form = codecs.Tensor.encode({ name, dtype: DTYPES[dtype].wire, shape: [...shape] });
    if (forms.size >= MOST_FORMS) forms.clear();
    forms.set(key, form);
  }
  return form;
}

/** Nothing is the default of proto3 and is left out. */
const bytesSize = (length: number): number => (length === 0 ? 0 : 1 + varintSize(length) + length);

function writeBytes(out: Buffer, at: number, tag: number, bytes: Uint8Array): number {
  if (bytes.byteLength === 0) return at;
  const begin = writeHead(out, at, tag, bytes.byteLength);
  out.set(bytes, begin);
  return begin + bytes.byteLength;
}
