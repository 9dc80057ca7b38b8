import fc from 'fast-check';
import type { BoundModel } from '../graphs/bound';
import { damaged, problemOf as problem } from './damage.fixture';
import { SnapshotFormat } from './format';
import type { Saved } from './format';
import type { LoadedFraming, SavedFraming } from './framing';
import type { Progress } from './progress';

const model = (digest: string, over: object = {}): BoundModel =>
  ({
    manifest: {
      name: 'voice',
      kind: 'stateful',
      digest,
      inputs: [{ name: 'audio', dtype: 'float32', shape: ['n'] }],
      framed: [{ input: 'audio', axis: 0, frame: 8, hop: 6, carry: 3 }],
    },
    states: [
      { name: 'h', dtype: 'float32', shape: [2, 1, 4] },
      { name: 'count', dtype: 'int64', shape: [1] },
    ],
    stateBytes: 40,
    ...over,
  }) as unknown as BoundModel;

const DIGEST = `sha256:${'0'.repeat(64)}`;
const format = new SnapshotFormat(model(DIGEST));
const withTwo = model(DIGEST);
/** Of a model with a second framed input. */
const several = new SnapshotFormat({
  ...withTwo,
  manifest: {
    ...withTwo.manifest,
    inputs: [
      ...withTwo.manifest.inputs,
      { name: 'far', dtype: 'float32', shape: [2, 'n'] },
    ] as typeof withTwo.manifest.inputs,
    framed: [
      ...withTwo.manifest.framed,
      { input: 'far', axis: 1, frame: 27, hop: 3, carry: 0 },
    ] as typeof withTwo.manifest.framed,
  },
});

const u32 = fc.nat({ max: 2 ** 32 - 1 });
const floats = (count: number): fc.Arbitrary<Float32Array> =>
  fc
    .array(fc.float({ noNaN: true }), { minLength: count, maxLength: count })
    .map((all) => Float32Array.from(all));

const progress: fc.Arbitrary<Progress> = fc.record({
  ...{ turn: u32, records: u32, steps: u32, partsTaken: u32, partUsed: u32, inputUsed: u32 },
  ...{ stage: u32, items: u32, item: u32, token: u32, tokens: u32 },
  fingerprint: fc.uint8Array({ minLength: 16, maxLength: 16 }).map((one) => Buffer.from(one)),
});

const saved: fc.Arbitrary<Saved> = fc.record({
  states: fc.tuple(
    floats(8),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map((one) => BigInt64Array.of(one)),
  ),
  framing: fc.tuple(
    fc.record({
      seen: fc.constantFrom(0, 2),
      carried: floats(3),
      kept: fc.nat({ max: 7 }).chain(floats),
    }),
  ),
  progress: fc.option(progress, { nil: undefined }),
});

const hex = (bytes: ArrayBufferView): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');

const plain = ({ seen, carried, kept }: SavedFraming | LoadedFraming): unknown => ({
  seen,
  carried: hex(carried),
  kept: hex(kept),
});

test('what was saved is read again, bit for bit', () => {
  fc.assert(
    fc.property(saved, (one) => {
      const bytes = format.write(one);
      expect(bytes.length).toBeLessThanOrEqual(format.largest);
      const read = format.read(bytes);
      expect(read.states.map(hex)).toEqual(one.states.map(hex));
      expect(read.progress).toEqual(one.progress);
      expect(read.framing.map(plain)).toEqual(one.framing?.map(plain));
    }),
  );
});

/** Little-endian, as docs/engine-protocol.md has it. */
const u16le = (value: number): number[] => [value & 255, value >> 8];
const u32le = (...values: number[]): number[] =>
  values.flatMap((value) => [value & 255, (value >> 8) & 255, (value >> 16) & 255, value >>> 24]);
const text = (value: string): number[] => [...u16le(value.length), ...Buffer.from(value)];
const floatBytes = (...values: number[]): number[] => [
  ...Buffer.from(Float32Array.from(values).buffer),
];
const FLOAT32 = 1;
const INT64 = 7;
const twoStates = [
  ...[...text('h'), FLOAT32, 3, ...u32le(2, 1, 4)],
  ...floatBytes(1, 2, 3, 4, 5, 6, 7, 8),
  ...[...text('count'), INT64, 1, ...u32le(1), 9, 0, 0, 0, 0, 0, 0, 0],
];
const audio = [
  ...[...u32le(2), ...text('audio'), FLOAT32, 1, ...u32le(3), ...floatBytes(1, 2, 3)],
  ...[...text('audio'), FLOAT32, 1, ...u32le(1), ...floatBytes(4)],
];
const states = [Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8), BigInt64Array.of(9n)];
const audioSaved = { seen: 2, carried: Float32Array.of(1, 2, 3), kept: Float32Array.of(4) };
const within: Progress = {
  ...{ turn: 1, records: 2, steps: 3, partsTaken: 4, partUsed: 5, inputUsed: 6 },
  ...{ stage: 7, items: 8, item: 9, token: 10, tokens: 11, fingerprint: Buffer.alloc(16, 12) },
};
const position = [...u32le(1, 2, 3), ...new Array<number>(16).fill(12)];
const turnBytes = u32le(4, 5, 6, 7, 8, 9, 10, 11);
const header = (ended: 0 | 1): number[] => [
  ...Buffer.from('CSNP'),
  ...[...u16le(2), 2, ended, ...text(DIGEST), ...(ended === 1 ? [] : position)],
];
const beginning = (ended: 0 | 1, framed: number): number[] => [
  ...[...header(ended), ...u16le(2), framed],
];

test('version 2 is written as the page of the protocol says', () => {
  const framing = [audioSaved];
  expect([...format.write({ states, framing, progress: undefined })]).toEqual([
    ...[...beginning(1, 1), ...twoStates, ...audio],
  ]);
  expect([...format.write({ states, framing, progress: within })]).toEqual([
    ...[...beginning(0, 1), ...twoStates, ...audio, ...turnBytes],
  ]);
  const other = { seen: 0, carried: new Float32Array(0), kept: Float32Array.of(1, 2, 3, 4) };
  const saved: Saved = {
    states,
    framing: [audioSaved, other],
    progress: { ...within, others: [{ partUsed: 13, inputUsed: 14 }] },
  };
  expect([...several.write(saved)]).toEqual([
    ...[...beginning(0, 2), ...twoStates, ...audio, ...u32le(0)],
    ...[...text('far'), FLOAT32, 2, ...u32le(2, 0)],
    ...[...text('far'), FLOAT32, 2, ...u32le(2, 2), ...floatBytes(1, 2, 3, 4)],
    ...[...turnBytes, ...u32le(13, 14)],
  ]);
  const read = several.read(several.write(saved));
  expect(read.framing.map(plain)).toEqual(saved.framing?.map(plain));
  expect(read.progress).toEqual(saved.progress);
});

test('an input may keep more than a frame while it waits for another one, but no more than that', () => {
  const kept = (items: number): Saved => ({
    states,
    framing: [
      { ...audioSaved, kept: new Float32Array(items) },
      { seen: 0, carried: new Float32Array(0), kept: new Float32Array(0) },
    ],
    progress: undefined,
  });
  // A frame of the other input is 9 of its hops of 3: 54 items here.
  expect(problemOf(several.write(kept(53)), several)).toBeUndefined();
  expect(problemOf(several.write(kept(54)), several)).toBe('state');
});

const problemOf = (bytes: Uint8Array, by = format): string | undefined => problem(bytes, by);

test('bytes that were changed, cut off or made up are read or refused, nothing else', () => {
  fc.assert(
    fc.property(damaged(saved.map((one) => format.write(one))), (bytes) => void problemOf(bytes)),
    { numRuns: 2000 },
  );
});

test('each way in which it does not fit is named', () => {
  const one: Saved = {
    states: [new Float32Array(8), new BigInt64Array(1)],
    framing: [{ seen: 2, carried: new Float32Array(3), kept: new Float32Array(7) }],
    progress: undefined,
  };
  const bytes = format.write(one);
  const changed = (at: number, value: number): Buffer => {
    const copy = Buffer.from(bytes);
    copy[at] = value;
    return copy;
  };
  const other = (over: object): SnapshotFormat => new SnapshotFormat(model(DIGEST, over));
  expect(problemOf(bytes)).toBeUndefined();
  expect(problemOf(changed(0, 0))).toBe('format');
  // The first version had its turn behind the state.
  expect(problemOf(changed(4, 1))).toBe('version');
  expect(problemOf(changed(6, 3))).toBe('model');
  expect(problemOf(changed(7, 2))).toBe('format');
  expect(problemOf(bytes.subarray(0, -1))).toBe('format');
  expect(problemOf(Buffer.concat([bytes, Buffer.alloc(1)]))).toBe('format');
  expect(problemOf(Buffer.alloc(10_000_000))).toBe('format');
  expect(problemOf(bytes, new SnapshotFormat(model('sha256:1')))).toBe('model');
  const bound = model(DIGEST).states;
  const wider = bound.with(0, { ...bound[0], shape: [2, 1, 5] } as (typeof bound)[0]);
  expect(problemOf(bytes, other({ states: wider, stateBytes: 48 }))).toBe('state');
  expect(problemOf(bytes, other({ states: bound.slice(1) }))).toBe('state');
  const [framing] = one.framing ?? [];
  const wholeFrame = { ...one, framing: [{ ...framing, kept: new Float32Array(8) }] } as Saved;
  expect(problemOf(format.write(wholeFrame))).toBe('state');
  const overlap = { ...one, framing: [{ ...framing, seen: 1 }] } as Saved;
  expect(problemOf(format.write(overlap))).toBe('state');
});
