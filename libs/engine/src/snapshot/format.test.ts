import fc from 'fast-check';
import { CabstandError } from '@cabstand/core';
import type { BoundModel } from '../graphs/bound';
import { SnapshotFormat } from './format';
import type { Progress, Saved } from './format';

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
  framing: fc.record({
    seen: fc.constantFrom(0, 2),
    carried: floats(3),
    kept: fc.nat({ max: 7 }).chain(floats),
  }),
  progress: fc.option(progress, { nil: undefined }),
});

const hex = (bytes: ArrayBufferView): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');

test('what was saved is read again, bit for bit', () => {
  fc.assert(
    fc.property(saved, (one) => {
      const read = format.read(format.write(one));
      expect(read.states.map(hex)).toEqual(one.states.map(hex));
      expect(read.progress).toEqual(one.progress);
      expect(read.framing?.seen).toBe(one.framing?.seen);
      expect(read.framing && hex(read.framing.carried)).toBe(
        one.framing && hex(one.framing.carried),
      );
      expect(read.framing && hex(read.framing.kept)).toBe(one.framing && hex(one.framing.kept));
    }),
  );
});

const problemOf = (bytes: Uint8Array, by = format): string | undefined => {
  try {
    by.read(bytes);
    return undefined;
  } catch (error) {
    if (!CabstandError.is(error)) throw error;
    expect(error.reason).toBe('CHECKPOINT_INVALID');
    return error.metadata['problem'];
  }
};

test('bytes that were changed, cut off or made up are read or refused, nothing else', () => {
  fc.assert(
    fc.property(
      saved,
      fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { maxLength: 4 }),
      fc.option(fc.nat()),
      fc.uint8Array({ maxLength: 20 }),
      (one, changes, cut, tail) => {
        const bytes = format.write(one);
        for (const [at, value] of changes) bytes[at % bytes.length] = value;
        const kept = cut === null ? bytes : bytes.subarray(0, cut % bytes.length);
        problemOf(Buffer.concat([kept, tail]));
        problemOf(tail);
      },
    ),
    { numRuns: 2000 },
  );
});

test('each way in which it does not fit is named', () => {
  const one: Saved = {
    states: [new Float32Array(8), new BigInt64Array(1)],
    framing: { seen: 2, carried: new Float32Array(3), kept: new Float32Array(7) },
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
  expect(problemOf(changed(4, 2))).toBe('version');
  expect(problemOf(bytes.subarray(0, -1))).toBe('format');
  expect(problemOf(Buffer.concat([bytes, Buffer.alloc(1)]))).toBe('format');
  expect(problemOf(Buffer.alloc(10_000_000))).toBe('format');
  expect(problemOf(bytes, new SnapshotFormat(model('sha256:1')))).toBe('model');
  const { states } = model(DIGEST);
  const wider = states.with(0, { ...states[0], shape: [2, 1, 5] } as (typeof states)[0]);
  expect(problemOf(bytes, other({ states: wider, stateBytes: 48 }))).toBe('state');
  expect(problemOf(bytes, other({ states: states.slice(1) }))).toBe('state');
  const wholeFrame = { ...one, framing: { ...one.framing, kept: new Float32Array(8) } } as Saved;
  expect(problemOf(format.write(wholeFrame))).toBe('state');
  const overlap = { ...one, framing: { ...one.framing, seen: 1 } } as Saved;
  expect(problemOf(format.write(overlap))).toBe('state');
});
