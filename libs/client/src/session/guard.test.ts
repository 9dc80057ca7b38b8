import { CabstandError } from '@cabstand/core';
import fc from 'fast-check';
import { PositionGuard } from './guard';

const record = (position: number, turn = 0, epoch = 1) => ({ position, turn, epoch });

test('whatever is repeated and reordered backwards, each position passes once and in order', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(8), { maxLength: 60 }), (back) => {
      const guard = new PositionGuard();
      const passed: number[] = [];
      let next = 0;
      for (const distance of back) {
        // Anything up to the next position may come: new, or sent before.
        const position = Math.max(0, next - distance);
        if (guard.accept(record(position), 0, 1)) passed.push(position);
        next = Math.max(next, position + 1);
      }
      expect(passed).toEqual(passed.map((_, index) => index));
      expect(guard.next).toBe(passed.length);
    }),
  );
});

test('a gap of any size is refused and changes nothing', () => {
  fc.assert(
    fc.property(fc.nat(20), fc.integer({ min: 1, max: 1e9 }), (before, gap) => {
      const guard = new PositionGuard();
      for (let i = 0; i < before; i++) guard.accept(record(i), 0, 1);
      expect(() => guard.accept(record(before + gap), 0, 1)).toThrow(/records are missing/);
      expect(guard.accept(record(before), 0, 1)).toBe(true);
    }),
  );
});

test.each([
  ['a negative position', record(-1)],
  ['half a position', record(0.5)],
  ['a position beyond what numbers count exactly', record(2 ** 53)],
  ['not a number', record(NaN)],
  ['another turn', record(0, 1)],
  ['an epoch of a successor', record(0, 0, 2)],
])('%s is a bad reply of the node', (_name, bad) => {
  expect(() => new PositionGuard().accept(bad, 0, 1)).toThrow(CabstandError);
  try {
    new PositionGuard().accept(bad, 0, 1);
  } catch (error) {
    expect(error).toMatchObject({ reason: 'NODE_BAD_REPLY', class: 'node' });
  }
});

test('epochs do not go back', () => {
  const guard = new PositionGuard();
  guard.accept(record(0, 0, 2), 0, 2);
  expect(() => guard.accept(record(1, 0, 1), 0, 2)).toThrow(/epoch 1/);
});
