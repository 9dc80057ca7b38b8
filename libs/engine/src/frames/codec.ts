/** Frames ↔ bytes. The layout is documented in docs/engine-protocol.md. */
import { CabstandError, invalid } from '@cabstand/core';
import { DTYPES, elementCount, isDType, isSize } from '@cabstand/tensor';
import type { DType, Tensor } from '@cabstand/tensor';
import { decodeCredits, decodeStep, encodeCredits, encodeStep } from './packed';
import { checkHeader } from './headers';
import { PREFIX, align, malformed, writePrefix } from './layout';
import { LARGEST_FRAME } from './limits';
import { PACKED_INPUT, packInput, packInputInPieces, unpackInput } from './packed-input';
import { FrameType, PROTOCOL_VERSION } from './types';
import type { CreditsFrame, FromEngine, StepFrame, ToEngine } from './types';

export type Frame = ToEngine | FromEngine;

const NAMES = new Map<number, Frame['type']>(
  (Object.entries(FrameType) as [Frame['type'], number][]).map(([name, code]) => [code, name]),
);

interface TensorHeader {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly offset: number;
  readonly bytes: number;
  readonly strings?: readonly string[];
}

/** One frame, ready to be written. */
export function encodeFrame(frame: Frame, protocol: number = PROTOCOL_VERSION): Buffer {
  const [first, ...more] = encodeFrameInPieces(frame, protocol);
  // Memory of its own, so that tensors are aligned wherever the frame is read in one piece.
  return more.length === 0 ? first : copied([first, ...more]);
}

/**
 * One frame as pieces to be written one after another: tensors and snapshots are not copied, so their
 * memory must stay as it is until they are written.
 *
 * @param protocol that whoever reads it speaks: one of `PROTOCOLS`.
 */
export function encodeFrameInPieces(
  frame: Frame,
  protocol: number = PROTOCOL_VERSION,
): [Buffer, ...Uint8Array[]] {
  if (frame.type === 'STEP') return [encodeStep(frame)];
  if (frame.type === 'CREDITS') return [encodeCredits(frame)];
  const packed = frame.type === 'INPUT' && protocol >= PACKS_INPUT;
  const { pieces, total } = packed ? packInputInPieces(frame) : jsonInPieces(frame);
  return total > SMALL_FRAME ? pieces : [copied(pieces)];
}

/** What writes INPUT into memory for whoever speaks this protocol; undefined where it has a JSON header. */
export function packerFor(protocol: number): typeof packInput | undefined {
  return protocol >= PACKS_INPUT ? packInput : undefined;
}

function jsonInPieces(frame: Exclude<Frame, StepFrame | CreditsFrame>): {
  readonly pieces: [Buffer, ...Uint8Array[]];
  readonly total: number;
} {
  const { header: fields, blobs, blobBytes } = placeBlobs(frame);
  const header = Buffer.from(JSON.stringify(fields));
  const blobStart = align(PREFIX + 4 + header.length);
  const total = blobs.length === 0 ? PREFIX + 4 + header.length : blobStart + blobBytes;
  if (total > LARGEST_FRAME)
    throw invalid(
      'MESSAGE_TOO_LARGE',
      `${frame.type} frame`,
      total,
      `at most ${LARGEST_FRAME} bytes`,
    );
  const head = Buffer.alloc(blobs.length === 0 ? total : blobStart);
  writePrefix(head, FrameType[frame.type], total);
  head.writeUInt32LE(header.length, PREFIX);
  header.copy(head, PREFIX + 4);
  const pieces: [Buffer, ...Uint8Array[]] = [head];
  let at = 0;
  for (const { offset, data } of blobs) {
    if (offset > at) pieces.push(PADDING.subarray(0, offset - at));
    if (data.byteLength > 0) pieces.push(data);
    at = offset + data.byteLength;
  }
  if (blobBytes > at) pieces.push(PADDING.subarray(0, blobBytes - at));
  return { pieces, total };
}

/** One piece costs less to write than several, and no more than its bytes to copy. */
const SMALL_FRAME = 32 * 1024;
const PADDING = Buffer.alloc(8);
/** From this protocol on INPUT is packed. */
const PACKS_INPUT = 4;

function copied(pieces: readonly Uint8Array[]): Buffer {
  const bytes = Buffer.allocUnsafeSlow(pieces.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.byteLength;
  }
  return bytes;
}

/** The frame of a type byte and a payload. Tensors and snapshots share the payload's memory. */
export function decodeFrame(type: number, payload: Buffer): Frame {
  if (type === PACKED_INPUT) return unpackInput(payload);
  const name = NAMES.get(type);
  if (name === undefined) throw malformed('type', type, 'a type of frame');
  if (name === 'STEP') return decodeStep(payload);
  if (name === 'CREDITS') return decodeCredits(payload);
  if (payload.length < 4) throw malformed(name, payload.length, 'a header length');
  const headerLength = payload.readUInt32LE(0);
  if (headerLength > payload.length - 4)
    throw malformed(name, headerLength, `a header of at most ${payload.length - 4} bytes`);
  let header: unknown;
  try {
    header = JSON.parse(payload.toString('utf8', 4, 4 + headerLength));
  } catch (cause) {
    throw new CabstandError('INVALID_ARGUMENT', `${name} frame: header is not JSON`, { cause });
  }
  const checked = checkHeader(name, header);
  const blobStart = align(PREFIX + 4 + headerLength) - PREFIX;
  if ('inputs' in checked)
    checked['inputs'] = (checked['inputs'] as unknown[]).map((tensor) =>
      readTensor(name, tensor, payload, blobStart),
    );
  const restore = checked['restore'];
  if (typeof restore === 'number') {
    if (blobStart + restore > payload.length)
      throw malformed('OPEN.restore', restore, 'bytes inside the frame');
    checked['restore'] = payload.subarray(blobStart, blobStart + restore);
  }
  return { ...checked, type: name } as unknown as Frame;
}

interface Placed {
  readonly header: object;
  readonly blobs: readonly { readonly offset: number; readonly data: Uint8Array }[];
  readonly blobBytes: number;
}

/** The JSON header of a frame, and what goes into its blob section. */
function placeBlobs(frame: Exclude<Frame, StepFrame | CreditsFrame>): Placed {
  const { type: _, ...rest } = frame;
  if ('inputs' in frame) {
    const { headers, bytes } = placeTensors(frame.inputs);
    const blobs = frame.inputs.map(({ data }, index) => ({
      offset: headers[index]?.offset ?? 0,
      data,
    }));
    return { header: { ...rest, inputs: headers }, blobs, blobBytes: bytes };
  }
  if (frame.type === 'OPEN' && frame.restore !== undefined) {
    const { restore } = frame;
    return {
      header: { ...rest, restore: restore.length },
      blobs: [{ offset: 0, data: restore }],
      blobBytes: restore.length,
    };
  }
  return { header: rest, blobs: [], blobBytes: 0 };
}

function placeTensors(tensors: readonly Tensor[]): { headers: TensorHeader[]; bytes: number } {
  let offset = 0;
  const headers = tensors.map(({ name, dtype, shape, data, strings }): TensorHeader => {
    const header = { name, dtype, shape, offset, bytes: data.byteLength };
    offset = align(offset + data.byteLength);
    return strings === undefined ? header : { ...header, strings };
  });
  return { headers, bytes: offset };
}

function readTensor(frame: string, header: unknown, payload: Buffer, blobStart: number): Tensor {
  if (!isTensorHeader(header)) throw malformed(`${frame} tensor`, header, 'the header of a tensor');
  const { name, dtype, shape, offset, bytes, strings } = header;
  const start = blobStart + offset;
  if (bytes > 0 && start + bytes > payload.length)
    throw malformed(`${frame} tensor ${name}`, offset, 'a tensor inside the frame');
  const count = elementCount(shape);
  const right =
    dtype === 'string' ? strings?.length === count : bytes === count * DTYPES[dtype].bytes;
  if (!right)
    throw malformed(
      `${frame} tensor ${name}`,
      bytes,
      `the bytes of ${dtype} [${shape.join(', ')}]`,
    );
  const tensor = { name, dtype, shape, data: payload.subarray(start, start + bytes) };
  return strings === undefined ? tensor : { ...tensor, strings };
}

function isTensorHeader(value: unknown): value is TensorHeader {
  if (typeof value !== 'object' || value === null) return false;
  const { name, dtype, shape, offset, bytes, strings } = value as Record<string, unknown>;
  return (
    typeof name === 'string' &&
    typeof dtype === 'string' &&
    isDType(dtype) &&
    Array.isArray(shape) &&
    shape.every(isSize) &&
    isSize(offset) &&
    isSize(bytes) &&
    (strings === undefined ||
      (Array.isArray(strings) && strings.every((one) => typeof one === 'string')))
  );
}
