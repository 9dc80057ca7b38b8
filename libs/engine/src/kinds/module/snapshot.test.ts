import fc from 'fast-check';
import { damaged, problemOf as problem } from '../../snapshot/damage.fixture';
import { fingerprintOf } from '../../snapshot/header';
import { ModuleSnapshotFormat } from './snapshot';
import type { ModuleSnapshot } from './snapshot';

const LIMIT = 4096;
const format = new ModuleSnapshotFormat('sha256:1', LIMIT);

const u32 = fc.nat({ max: 2 ** 32 - 1 });
const state = fc.oneof(
  fc.object({ maxDepth: 2, withBigInt: true, withMap: true, withSet: true, withTypedArray: true }),
  fc.constant(undefined),
);
const snapshot: fc.Arbitrary<ModuleSnapshot> = fc.record({
  position: fc.option(
    fc.record({
      ...{ turn: u32, records: u32, steps: u32 },
      fingerprint: fc.object().map((parameters) => fingerprintOf(parameters)),
    }),
    { nil: undefined },
  ),
  ...{ stateVersion: u32, chain: u32, point: u32, commands: u32, partsTaken: u32 },
  random: u32,
  inputEnded: fc.boolean(),
  state,
});

const problemOf = (bytes: Uint8Array, by = format): string | undefined => problem(bytes, by);

test('what was kept is read again, whatever plain data the state is', () => {
  fc.assert(
    fc.property(snapshot, (one) => {
      const bytes = format.write(one);
      expect(format.read(bytes)).toEqual(one);
    }),
  );
});

test('bytes that were changed, cut off or made up are read or refused, nothing else', () => {
  fc.assert(
    fc.property(
      damaged(snapshot.map((one) => format.write(one))),
      (bytes) => void problemOf(bytes),
    ),
    { numRuns: 1000 },
  );
});

const plain: ModuleSnapshot = {
  position: undefined,
  ...{ stateVersion: 1, chain: 2, point: 3, commands: 4, partsTaken: 5 },
  ...{ random: 6, inputEnded: true },
  state: { count: 7 },
};

test('each way in which it does not fit is named', () => {
  const bytes = format.write(plain);
  const changed = (at: number, value: number): Buffer => {
    const copy = Buffer.from(bytes);
    copy[at] = value;
    return copy;
  };
  expect(problemOf(bytes)).toBeUndefined();
  expect(problemOf(bytes, new ModuleSnapshotFormat('sha256:2', LIMIT))).toBe('model');
  expect(problemOf(changed(6, 2))).toBe('model');
  expect(problemOf(changed(4, 1))).toBe('version');
  expect(problemOf(bytes.subarray(0, -1))).toBe('format');
  expect(problemOf(Buffer.concat([bytes, Buffer.alloc(1)]))).toBe('format');
  // The first byte of what v8 wrote is its mark.
  const stateAt = 10 + 'sha256:1'.length + 25 + 4;
  expect(bytes[stateAt]).toBe(0xff);
  expect(problemOf(changed(stateAt, 0))).toBe('state');
});

test('a state that is too large is refused before it is read', () => {
  const wide = new ModuleSnapshotFormat('sha256:1', 2 * LIMIT);
  const large = wide.write({ ...plain, state: new Uint8Array(LIMIT) });
  expect(problemOf(large, wide)).toBeUndefined();
  expect(problemOf(large)).toBe('state');
  expect(problemOf(new Uint8Array(format.largest + 1))).toBe('format');
});

test('a state that is no plain data is refused by name', () => {
  expect(() => format.write({ ...plain, state: { call: () => 1 } })).toThrow(
    expect.objectContaining({
      reason: 'MODULE_FAILED',
      message: expect.stringMatching(
        /the state cannot be kept: state\.call is a function/,
      ) as string,
    }) as Error,
  );
});

test('a state that is too large is not written: nothing could read it', () => {
  expect(() => format.write({ ...plain, state: new Uint8Array(LIMIT) })).toThrow(
    expect.objectContaining({
      reason: 'MODULE_FAILED',
      message: expect.stringContaining(`limits.state_bytes allows ${LIMIT}`) as string,
    }) as Error,
  );
});
