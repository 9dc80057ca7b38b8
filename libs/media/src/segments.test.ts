import fc from 'fast-check';
import { segmentsOf } from './segments';

const frameSeconds = 0.25;

test('frames at or above the threshold make segments; short gaps are closed', () => {
  const probabilities = [0, 0.5, 0.9, 0.1, 0.8, 0, 0, 0, 1];
  expect(segmentsOf(probabilities, { frameSeconds, shortestGapSeconds: 0.25 })).toEqual([
    { from: 0.25, to: 1.25 },
    { from: 2, to: 2.25 },
  ]);
  expect(segmentsOf(probabilities, { frameSeconds, threshold: 0.9 })).toEqual([
    { from: 0.5, to: 0.75 },
    { from: 2, to: 2.25 },
  ]);
  expect(segmentsOf([], { frameSeconds })).toEqual([]);
});

test('segments are in order, apart, and hold exactly the frames that count, where no gap is closed', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(0, 0.4, 0.6, NaN)), (probabilities) => {
      const segments = segmentsOf(probabilities, { frameSeconds, shortestGapSeconds: 0 });
      const inside = probabilities.map((_, i) =>
        segments.some(({ from, to }) => from <= i * frameSeconds && i * frameSeconds < to),
      );
      expect(inside).toEqual(probabilities.map((value) => value >= 0.5));
      segments.slice(1).forEach(({ from }, i) => expect(from).toBeGreaterThan(segments[i]!.to));
    }),
  );
});
