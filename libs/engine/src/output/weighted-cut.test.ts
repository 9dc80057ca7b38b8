import fc from 'fast-check';
import { crossing } from './weighted-cut';

/** Few different keys, so that many are equal, and weights whose sums are exact. */
const items = fc.array(fc.record({ key: fc.nat({ max: 40 }), weight: fc.nat({ max: 64 }) }), {
  minLength: 1,
  maxLength: 400,
});

test('the id at which the sum is over the limit is that of sorting them all', () => {
  fc.assert(
    fc.property(items, fc.double({ min: 0, max: 1.1, noNaN: true }), (given, share) => {
      const ids = Uint32Array.from(given.keys());
      const before = ids.slice();
      const keyOf = (id: number): number => given[id]?.key ?? 0;
      const weightOf = (id: number): number => given[id]?.weight ?? 0;
      const limit = share * given.reduce((sum, { weight }) => sum + weight, 0);
      const sorted = [...ids].sort((a, b) => keyOf(a) - keyOf(b) || a - b);
      let sum = 0;
      const expected =
        sorted.find((id) => {
          sum += weightOf(id);
          return sum > limit;
        }) ?? sorted.at(-1);
      expect(crossing(ids, keyOf, weightOf, (one) => one > limit)).toBe(expected);
      expect(ids).toEqual(before);
    }),
    { numRuns: 500 },
  );
});
