import fc from 'fast-check';
import type { DType } from '@cabstand/tensor';
import { ackWish } from './ack-wish';

const signature = { sessions: undefined };
const floats = (...shape: number[]) => ({
  outputs: [{ name: 'y', dtype: 'float32' as DType, shape }],
  signature,
});
const DEFAULT = { journalRecords: 256, journalBytes: 4 * 1024 * 1024 };

test('a client that counts records acknowledges before its records fill the journal', () => {
  expect(ackWish(DEFAULT, floats(1))).toEqual({ every: 64, records: 64, bytes: 1024 * 1024 });
  const size = fc.integer({ min: 0, max: 1 << 22 });
  const limits = { journalRecords: fc.integer({ min: 1, max: 1000 }), journalBytes: size };
  fc.assert(
    fc.property(fc.record(limits), size, (options, elements) => {
      const { every, records } = ackWish(options, floats(1, elements));
      expect(every).toBeGreaterThanOrEqual(1);
      expect(every).toBeLessThanOrEqual(records);
      // Unless each record is acknowledged at once, there is room for the next.
      if (every > 1) expect(every * elements * 4).toBeLessThan(options.journalBytes);
    }),
  );
});

test('where the size of records is not known, each is acknowledged', () => {
  expect(ackWish(DEFAULT, floats(1, -1)).every).toBe(1);
  const text = { outputs: [{ name: 'y', dtype: 'string' as DType, shape: [1] }], signature };
  expect(ackWish(DEFAULT, text).every).toBe(1);
});

test('what a module says in JSON counts, however small its outputs are', () => {
  const sessions = { commandBytes: 100, resultBytes: 65_536, messageBytes: 65_536 };
  expect(ackWish(DEFAULT, { ...floats(1), signature: { sessions } }).every).toBe(16);
});
