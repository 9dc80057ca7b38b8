import fc from 'fast-check';
import { CabstandError } from '@cabstand/core';
import { DTYPES } from '@cabstand/tensor';
import type { DType, Tensor } from '@cabstand/tensor';
import { encodeFrame, encodeFrameInPieces } from './codec';
import type { Frame } from './codec';
import { fragmentsOf } from './fragments';
import { LOG_LEVELS, STOP_REASONS } from './module-frames';
import type { ReplayEntry } from './module-frames';
import { FrameReader } from './reader';

const uint = fc.integer({ min: 0, max: 2 ** 32 - 1 });

const tensor: fc.Arbitrary<Tensor> = fc
  .record({
    name: fc.string({ maxLength: 20 }),
    dtype: fc.constantFrom(...(Object.keys(DTYPES) as DType[])),
    shape: fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 4 }),
  })
  .chain(({ name, dtype, shape }): fc.Arbitrary<Tensor> => {
    const count = shape.reduce((product, size) => product * size, 1);
    if (dtype === 'string')
      return fc
        .array(fc.string(), { minLength: count, maxLength: count })
        .map((strings) => ({ name, dtype, shape, data: new Uint8Array(0), strings }));
    const bytes = count * DTYPES[dtype].bytes;
    return fc
      .uint8Array({ minLength: bytes, maxLength: bytes })
      .map((data) => ({ name, dtype, shape, data }));
  });

const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array));

const entry: fc.Arbitrary<ReplayEntry> = fc.oneof(
  fc.record({
    kind: fc.constant('command' as const),
    number: uint,
    name: fc.string(),
    arguments: fc.json(),
    point: uint,
  }),
  fc.record({ kind: fc.constant('part' as const), part: uint, point: uint }),
  fc.record({
    kind: fc.constant('value' as const),
    name: fc.string(),
    json: fc.json(),
    point: uint,
  }),
);

const frame: fc.Arbitrary<Frame> = fc.oneof(
  fc.record({
    type: fc.constant('COMMAND' as const),
    sequence: uint,
    turn: uint,
    number: fc.oneof(uint, fc.constant(-1)),
    name: fc.string(),
    arguments: fc.json(),
  }),
  fc.record({
    type: fc.constant('STOP' as const),
    sequence: uint,
    reason: fc.constantFrom(...STOP_REASONS),
    graceMs: uint,
  }),
  fc.record(
    {
      type: fc.constant('LOG' as const),
      level: fc.constantFrom(...LOG_LEVELS),
      sequence: uint,
      message: fc.string(),
    },
    { requiredKeys: ['type', 'level', 'message'] },
  ),
  fc.record({
    type: fc.constant('TURN' as const),
    sequence: uint,
    turn: uint,
    prompt: fc.string(),
    parameters: fc.constant({}),
    inputs: fc.array(tensor, { maxLength: 2 }),
    live: fc.boolean(),
    continued: fc.boolean(),
    replay: fc.record({ entries: fc.array(entry, { maxLength: 4 }), records: uint, chain: uint }),
  }),
  fc.record({
    type: fc.constant('TURN' as const),
    sequence: uint,
    turn: uint,
    prompt: fc.string(),
    parameters: fc.dictionary(fc.string(), fc.integer()),
    inputs: fc.array(tensor, { maxLength: 4 }),
    live: fc.boolean(),
    continued: fc.boolean(),
  }),
  fc.record({
    type: fc.constant('CREDITS' as const),
    credits: fc.array(fc.record({ sequence: uint, records: fc.integer(), bytes: fc.integer() })),
  }),
  fc.record(
    {
      type: fc.constant('OPEN' as const),
      sequence: uint,
      priority: fc.nat({ max: 9 }),
      restore: bytes,
      snapshots: fc.boolean(),
      seed: uint,
      session: fc.string(),
    },
    { requiredKeys: ['type', 'sequence', 'priority'] },
  ),
  fc.record({ type: fc.constant('SNAPSHOT' as const), sequence: uint }),
  fc.record({ type: fc.constant('CANCEL' as const), sequence: uint, turn: uint }),
  fc.record({
    type: fc.constant('STEP' as const),
    batch: uint,
    seconds: fc.double({ min: 0, max: 100, noNaN: true }),
    items: fc.array(
      fc.oneof(
        fc.record({
          kind: fc.constant('chunk' as const),
          sequence: uint,
          turn: uint,
          chunk: bytes,
        }),
        fc.record({
          kind: fc.constant('snapshot' as const),
          sequence: uint,
          turn: uint,
          data: bytes,
          records: uint,
          steps: uint,
          partsTaken: uint,
          ended: fc.boolean(),
        }),
        fc.record({ kind: fc.constant('taken' as const), sequence: uint, turn: uint, parts: uint }),
        fc.record({
          kind: fc.constant('end' as const),
          sequence: uint,
          turn: uint,
          end: fc.record({
            reason: fc.constantFrom('completed' as const, ...STOP_REASONS),
            steps: fc.nat(),
          }),
        }),
        fc.record({
          kind: fc.constant('record' as const),
          sequence: uint,
          turn: uint,
          field: fc.nat({ max: 255 }),
          flags: fc.nat({ max: 3 }),
          point: uint,
          chain: uint,
          body: bytes,
        }),
        fc.record({
          kind: fc.constant('notice' as const),
          sequence: uint,
          turn: uint,
          name: fc.string({ unit: 'binary', maxLength: 40 }),
          json: fc.json(),
        }),
        fc.record({
          kind: fc.constant('held' as const),
          sequence: uint,
          turn: uint,
          number: fc.integer({ min: -1, max: 2 ** 31 - 1 }),
          bytes: uint,
        }),
      ),
    ),
  }),
  fc.record({ type: fc.constant('SHUTDOWN' as const) }),
);

/** Bytes compare as bytes, whatever array they are in; JSON has no -0. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === 'object' && value !== null)
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, plain(one)]));
  return value === 0 ? 0 : value;
}

test('frames come out as they went in, however the stream is cut', () => {
  fc.assert(
    fc.property(
      fc.array(frame, { maxLength: 5 }),
      fc.array(fc.integer({ min: 1, max: 50 })),
      (frames, cuts) => {
        const stream = Buffer.concat(frames.map((one) => encodeFrame(one)));
        const reader = new FrameReader();
        const read: Frame[] = [];
        let at = 0;
        for (let index = 0; at < stream.length; index += 1) {
          const size = cuts[index % Math.max(1, cuts.length)] ?? stream.length;
          read.push(...reader.push(Buffer.from(stream.subarray(at, at + size))));
          at += size;
        }
        expect(plain(read)).toEqual(plain(frames));
        expect(reader.pending).toBe(0);
      },
    ),
  );
});

test('a frame in fragments comes out as it went in, and others that were in between', () => {
  fc.assert(
    fc.property(
      frame,
      fc.array(frame, { maxLength: 5 }),
      fc.integer({ min: 5, max: 60 }),
      fc.integer({ min: 1, max: 50 }),
      (large, others, size, cut) => {
        const fragments = [...fragmentsOf(encodeFrameInPieces(large), size)];
        const waiting = others.slice(0, fragments.length);
        const stream = Buffer.concat(
          fragments.flatMap((pieces, index) => {
            const between = waiting[index];
            return between === undefined ? pieces : [encodeFrame(between), ...pieces];
          }),
        );
        const reader = new FrameReader();
        const read: Frame[] = [];
        for (let at = 0; at < stream.length; at += cut)
          read.push(...reader.push(Buffer.from(stream.subarray(at, at + cut))));
        expect(plain(read)).toEqual(plain([...waiting, large]));
        expect(reader.pending).toBe(0);
      },
    ),
  );
});

test.each<[string, number, number[], RegExp]>([
  ['begins with less than a prefix', 0, [1, 2], /fragment: got 2, expected at least 5 bytes/],
  ['is of a frame above the limit', 2000, [], /at most 1000/],
  ['has more than its frame', 3, [1, 2, 3, 4], /fragment: got 9, expected at most 7 bytes/],
  ['is of a fragment', 2, [1], /type/],
])('a fragment that %s is refused', (_what, length, rest, message) => {
  const inner = Buffer.from([length & 0xff, length >> 8, 0, 0, 10, ...rest]);
  const part = length === 0 ? inner.subarray(0, 2) : inner;
  const prefix = Buffer.from([part.length + 1, 0, 0, 0, 10]);
  const reader = new FrameReader({ maxFrameBytes: 1000 });
  expect(() => reader.push(Buffer.concat([prefix, part]))).toThrow(message);
});

test('garbage gives frames or a typed error, nothing else', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), fc.nat({ max: 80 }), (garbage, type) => {
      const framed = Buffer.concat([Buffer.alloc(5), garbage]);
      framed.writeUInt32LE(garbage.length + 1, 0);
      framed[4] = type;
      for (const input of [Buffer.from(garbage), framed])
        try {
          new FrameReader({ maxFrameBytes: 1000 }).push(input);
        } catch (error) {
          expect(CabstandError.is(error)).toBe(true);
        }
    }),
  );
});

test('a frame above the limit is refused before memory is taken for it', () => {
  const prefix = Buffer.from([0xff, 0xff, 0xff, 0x7f, 3]);
  expect(() => new FrameReader({ maxFrameBytes: 1000 }).push(prefix)).toThrow(/at most 1000/);
});

test('tensors of a frame that came in pieces are aligned in memory', () => {
  const data = new Uint8Array(new Float64Array([1, 2, 3]).buffer);
  const bytesOfFrame = encodeFrame({
    type: 'INPUT',
    sequence: 1,
    turn: 0,
    part: 0,
    inputs: [{ name: 'x', dtype: 'float64', shape: [3], data }],
    last: false,
  });
  const reader = new FrameReader();
  reader.push(bytesOfFrame.subarray(0, 20));
  const [frame] = reader.push(bytesOfFrame.subarray(20));
  expect(frame?.type === 'INPUT' && (frame.inputs[0]?.data.byteOffset ?? 1) % 8).toBe(0);
});

test('a large frame in pieces is the same frame, and shares the memory of its tensors', () => {
  const sizes = [40_001, 0, 7, 50_000];
  const inputs = sizes.map((size, index): Tensor => {
    const data = new Uint8Array(size).fill(index + 1);
    return { name: `x${String(index)}`, dtype: 'uint8', shape: [size], data };
  });
  const frame = { type: 'INPUT', sequence: 1, turn: 0, part: 0, inputs, last: false } as const;
  const pieces = encodeFrameInPieces(frame);
  expect(Buffer.concat(pieces)).toEqual(encodeFrame(frame));
  const [read] = new FrameReader().push(Buffer.concat(pieces));
  expect(read?.type === 'INPUT' && read.inputs.map(({ data }) => Buffer.from(data))).toEqual(
    inputs.map(({ data }) => Buffer.from(data)),
  );
  for (const { data } of inputs) if (data.byteLength > 0) expect(pieces).toContain(data);
});

/** A frame with a JSON header that says this. */
function raw(type: number, header: object): Buffer {
  const json = Buffer.from(JSON.stringify(header));
  const bytes = Buffer.alloc(9 + json.length);
  bytes.writeUInt32LE(5 + json.length, 0);
  bytes[4] = type;
  bytes.writeUInt32LE(json.length, 5);
  json.copy(bytes, 9);
  return bytes;
}

test.each<[string, number, object, RegExp]>([
  [
    'a stop for a reason that is none',
    12,
    { sequence: 1, reason: 'bored', graceMs: 0 },
    /STOP.reason: got "?bored"?, expected one of cancelled, stopped, timed_out, evicted/,
  ],
  [
    'a stop without a grace',
    12,
    { sequence: 1, reason: 'cancelled' },
    /STOP.graceMs: got nothing, expected a count/,
  ],
  [
    'a replayed entry without a point',
    3,
    {
      ...{ sequence: 1, turn: 0, prompt: '', parameters: {}, inputs: [], live: false },
      replay: { entries: [{ kind: 'part', part: 0 }], records: 0, chain: 0 },
    },
    /TURN.replay: .*expected an object with entries, records, chain, or nothing/,
  ],
  [
    'a command whose arguments are no text',
    11,
    { sequence: 1, turn: 0, number: 0, name: 'pause', arguments: {} },
    /COMMAND.arguments: .*expected a string/,
  ],
])('%s is refused by name', (_what, type, header, message) => {
  expect(() => new FrameReader().push(raw(type, header))).toThrow(message);
});

test.each([
  ['record', 5, 9, /STEP item: got 5/],
  ['notice', 6, 1, /STEP notice: got 1, expected at least 2 bytes/],
])('a %s of too few bytes is refused', (_what, kind, length, message) => {
  const item = Buffer.alloc(13 + length);
  item[0] = kind;
  item.writeUInt32LE(length, 9);
  const frame = Buffer.concat([Buffer.alloc(21), item]);
  frame.writeUInt32LE(frame.length - 4, 0);
  frame[4] = 68;
  frame.writeUInt32LE(1, 17);
  expect(() => new FrameReader().push(frame)).toThrow(message);
});
