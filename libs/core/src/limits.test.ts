import { withinLimits } from './limits';
import type { Limit } from './limits';

const LIMITS: Readonly<Record<'count' | 'share', Limit>> = {
  count: [4, 1, 10],
  share: [0.5, 0, 0.9, 'share'],
};

test('what is not given has its default', () => {
  expect(withinLimits(LIMITS, {})).toEqual({ count: 4, share: 0.5 });
  expect(withinLimits(LIMITS, { count: 10, share: 0 })).toEqual({ count: 10, share: 0 });
});

test.each([
  [{ count: 0 }, 'a.count: got 0, expected 1 to 10, a whole number'],
  [{ count: 11 }, 'a.count: got 11'],
  [{ count: 1.5 }, 'a.count: got 1.5'],
  [{ count: Number.NaN }, 'a.count'],
  [{ share: 0.95 }, 'a.share: got 0.95, expected 0 to 0.9'],
])('%j is refused by name', (options, message) => {
  expect(() => withinLimits(LIMITS, options, 'a.')).toThrow(message);
});
