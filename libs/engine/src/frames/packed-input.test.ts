import fc from 'fast-check';
import { CabstandError } from '@cabstand/core';
import { DTYPES } from '@cabstand/tensor';
import type { DType, Tensor } from '@cabstand/tensor';
import { decodeFrame, encodeFrame, encodeFrameInPieces, packerFor } from './codec';
import { PACKED_INPUT, packInput } from './packed-input';
import { FrameReader } from './reader';
import { FrameType } from './types';
import type { InputFrame } from './types';

const PREFIX = 5;
const uint = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const name = fc.oneof(
  fc.string({ maxLength: 12 }),
  fc.string({ unit: 'grapheme', maxLength: 60 }),
  fc.constant('ü'.repeat(100)),
);

const tensor: fc.Arbitrary<Tensor> = fc
  .record({
    name,
    dtype: fc.constantFrom(...(Object.keys(DTYPES) as DType[])),
    shape: fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 4 }),
    /** No elements, whatever the others are. */
    huge: fc.option(fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER })),
  })
  .chain(({ huge, shape: sizes, ...rest }): fc.Arbitrary<Tensor> => {
    const shape = huge === null ? sizes : [huge, 0, ...sizes];
    const count = shape.reduce((product, size) => product * size, 1);
    if (rest.dtype === 'string')
      return fc
        .array(fc.string({ unit: 'grapheme' }), { minLength: count, maxLength: count })
        .map((strings) => ({ ...rest, shape, data: new Uint8Array(0), strings }));
    const bytes = count * DTYPES[rest.dtype].bytes;
    return fc
      .uint8Array({ minLength: bytes, maxLength: bytes })
      .map((data) => ({ ...rest, shape, data }));
  });

const input: fc.Arbitrary<InputFrame> = fc.record({
  type: fc.constant('INPUT' as const),
  sequence: uint,
  turn: uint,
  part: uint,
  inputs: fc.array(tensor, { maxLength: 5 }),
  last: fc.boolean(),
});

/** Bytes compare as bytes, whatever memory they are in. */
function plain({ inputs, ...rest }: InputFrame): unknown {
  const tensors = inputs.map(({ data, ...head }) => ({
    ...head,
    data: Buffer.from(data).toString('hex'),
  }));
  return { ...rest, inputs: tensors };
}

function read(bytes: Buffer): InputFrame {
  const [frame] = new FrameReader().push(bytes);
  if (frame?.type !== 'INPUT') throw new Error(`got ${frame?.type ?? 'no frame'}`);
  return frame;
}

test('any input comes out as it went in, packed and with a JSON header', () => {
  fc.assert(
    fc.property(input, (frame) => {
      const packed = encodeFrame(frame);
      expect(packed[4]).toBe(PACKED_INPUT);
      expect(packed.length % 8).toBe(0);
      expect(plain(read(packed))).toEqual(plain(frame));
      const json = encodeFrame(frame, 3);
      expect(json[4]).toBe(FrameType.INPUT);
      expect(plain(read(json))).toEqual(plain(frame));
    }),
  );
});

test('in memory that was used before it is the same frame, and nothing beside it is touched', () => {
  fc.assert(
    fc.property(input, fc.nat({ max: 40 }), fc.nat({ max: 255 }), (frame, at, before) => {
      const whole = encodeFrame(frame);
      const memory = Buffer.alloc(whole.length + 2_000, before);
      const end = packInput(frame, memory, at);
      expect(memory.subarray(at, end)).toEqual(whole);
      const rest = [memory.subarray(0, at), memory.subarray(end)];
      for (const part of rest) expect(part.every((byte) => byte === before)).toBe(true);
    }),
  );
});

test('where there is no room it is not written', () => {
  fc.assert(
    fc.property(input, fc.nat({ max: 60 }), (frame, missing) => {
      const whole = encodeFrame(frame);
      const memory = Buffer.alloc(whole.length + 64, 7);
      const room = Math.max(0, whole.length - 1 - missing);
      expect(packInput(frame, memory.subarray(0, room), 0)).toBe(-1);
      expect(memory.every((byte) => byte === 7)).toBe(true);
    }),
  );
});

/** What came of a payload that lies among other bytes. */
function outcome(payload: Buffer, around: number): unknown {
  const memory = Buffer.alloc(payload.length + 64, around);
  payload.copy(memory, 32);
  const view = memory.subarray(32, 32 + payload.length);
  try {
    const frame = decodeFrame(PACKED_INPUT, view) as InputFrame;
    for (const { data } of frame.inputs) {
      if (data.byteLength === 0) continue;
      expect(data.byteOffset).toBeGreaterThanOrEqual(view.byteOffset);
      expect(data.byteOffset + data.byteLength).toBeLessThanOrEqual(
        view.byteOffset + view.byteLength,
      );
    }
    return plain(frame);
  } catch (error) {
    if (!CabstandError.is(error)) throw error;
    return error.message;
  }
}

const damage = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant('set'), at: fc.nat(), value: fc.nat({ max: 255 }) }),
    fc.record({ kind: fc.constant('cut'), at: fc.nat(), value: fc.nat({ max: 40 }) }),
    fc.record({ kind: fc.constant('add'), at: fc.nat(), value: fc.nat({ max: 40 }) }),
  ),
  { minLength: 1, maxLength: 4 },
);

test('damaged ones give a frame or a typed error, and nothing is read beside them', () => {
  let refused = 0;
  fc.assert(
    fc.property(input, damage, (frame, damages) => {
      let payload: Buffer = encodeFrame(frame).subarray(PREFIX);
      for (const { kind, at: anywhere, value } of damages) {
        // Near the front as often as not: there the numbers are that say where things are.
        const at = anywhere % Math.max(1, anywhere % 2 === 0 ? payload.length : 40);
        const rest = payload.subarray(kind === 'add' ? at : at + (kind === 'cut' ? value : 1));
        const between = kind === 'cut' ? 0 : kind === 'set' ? 1 : value;
        payload = Buffer.concat([payload.subarray(0, at), Buffer.alloc(between, value), rest]);
      }
      const got = outcome(payload, 0);
      expect(outcome(payload, 0xff)).toEqual(got);
      if (typeof got === 'string') refused += 1;
    }),
    { numRuns: 1_000 },
  );
  expect(refused).toBeGreaterThan(300);
});

test('bytes at random give a frame or a typed error', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      expect(outcome(Buffer.from(bytes), 0)).toEqual(outcome(Buffer.from(bytes), 0xff));
    }),
    { numRuns: 1_000 },
  );
});

const one = (more: Partial<Tensor> = {}): InputFrame => ({
  ...{ type: 'INPUT', sequence: 1, turn: 0, part: 2, last: true },
  inputs: [{ name: 'x', dtype: 'int16', shape: [3], data: new Uint8Array(6), ...more }],
});

test.each<[string, (payload: Buffer) => Buffer, RegExp]>([
  ['no header', (bytes) => bytes.subarray(0, 14), /INPUT: got 14, expected at least 15 bytes/],
  ['another flag', (bytes) => set(bytes, 0, 2), /INPUT last: got 2, expected 0 or 1/],
  ['more tensors than heads', (bytes) => set(bytes, 1, 3), /INPUT dtype: got 0/],
  ['a rank beyond its end', (bytes) => set(bytes, 16, 255), /INPUT.*all heads of its tensors/],
  ['a name beyond its end', (bytes) => set(bytes, 18, 255), /INPUT.*all heads of its tensors/],
  ['an unknown dtype', (bytes) => set(bytes, 15, 99), /INPUT dtype: got 99/],
  ['half a size', (bytes) => double(bytes, 23, 2.5), /INPUT shape: got 2.5, expected a size/],
  ['a size below 0', (bytes) => double(bytes, 23, -3), /INPUT shape: got -3/],
  ['no number as a size', (bytes) => double(bytes, 23, NaN), /INPUT shape/],
  ['another size', (bytes) => double(bytes, 23, 4), /INPUT tensor x: got 6.*int16 \[4\]/],
  ['bytes beyond its end', (bytes) => set(bytes, 21, 1), /INPUT tensor x.*inside the frame/],
  ['bytes missing', (bytes) => bytes.subarray(0, -8), /INPUT tensor x.*inside the frame/],
  ['bytes too many', (bytes) => Buffer.concat([bytes, Buffer.alloc(8)]), /INPUT: got \d+/],
])('%s is refused', (_what, damaged, message) => {
  const payload = damaged(Buffer.from(encodeFrame(one()).subarray(PREFIX)));
  expect(() => decodeFrame(PACKED_INPUT, payload)).toThrow(message);
});

test.each<[string, number, number, RegExp]>([
  ['longer than all of them', 0, 9, /INPUT tensor x: got 0, expected 2 strings and nothing else/],
  ['fewer than its shape has', 0, 6, /INPUT tensor x: got 1, expected 2 strings/],
])('a string tensor with a string %s is refused', (_what, at, value, message) => {
  const frame = one({ dtype: 'string', shape: [2], data: new Uint8Array(), strings: ['a', 'b'] });
  const payload = Buffer.from(encodeFrame(frame).subarray(PREFIX));
  expect(payload.readUInt32LE(35 + at)).toBe(1);
  payload.writeUInt32LE(value, 35 + at);
  expect(() => decodeFrame(PACKED_INPUT, payload)).toThrow(message);
});

test.each<[string, InputFrame, RegExp]>([
  ['a name of 64 KiB', one({ name: 'ü'.repeat(2 ** 15) }), /INPUT name: got 65536/],
  ['256 dimensions', one({ shape: Array<number>(256).fill(1) }), /INPUT rank: got 256/],
  [
    '65,536 tensors',
    { ...one(), inputs: Array<Tensor>(2 ** 16).fill({ ...one().inputs[0]! }) },
    /INPUT: got 65536, expected at most 65535 tensors/,
  ],
])('%s cannot be packed', (_what, frame, message) => {
  expect(() => encodeFrame(frame)).toThrow(message);
});

test('large tensors are not copied', () => {
  const data = new Uint8Array(50_001).fill(3);
  const pieces = encodeFrameInPieces(one({ dtype: 'uint8', shape: [50_001], data }));
  expect(pieces).toContain(data);
  expect(plain(read(Buffer.concat(pieces)))).toEqual(
    plain(one({ dtype: 'uint8', shape: [50_001], data })),
  );
});

test('engines of protocol 3 get nothing packed', () => {
  expect(packerFor(3)).toBeUndefined();
  expect(packerFor(4)).toBe(packInput);
});

function set(bytes: Buffer, at: number, value: number): Buffer {
  bytes[at] = value;
  return bytes;
}

function double(bytes: Buffer, at: number, value: number): Buffer {
  bytes.writeDoubleLE(value, at);
  return bytes;
}
