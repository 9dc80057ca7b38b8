import { bucketOf, bucketWithin } from './columns';

const ALL = Array.from({ length: 9000 }, (_, at) => at + 1);

test('a capacity holds its columns, and an eighth of them more at most, or 63', () => {
  for (const columns of ALL) {
    const spare = bucketOf(columns) - columns;
    expect(spare).toBeGreaterThanOrEqual(0);
    expect(spare).toBeLessThan(Math.max(64, columns / 8 + 1));
  }
});

test('capacities are steps: each is its own, and what holds more is no smaller', () => {
  for (const columns of ALL) {
    expect(bucketOf(bucketOf(columns))).toBe(bucketOf(columns));
    expect(bucketOf(columns + 1)).toBeGreaterThanOrEqual(bucketOf(columns));
  }
});

test('growing by one to 4,096 columns takes 32 copies', () => {
  expect(new Set(ALL.slice(0, 4096).map(bucketOf)).size).toBe(32);
});

test('the largest capacity within so many columns is a capacity, and the next one is beyond', () => {
  expect(bucketWithin(63)).toBe(0);
  for (const columns of ALL.slice(63)) {
    const within = bucketWithin(columns);
    expect(within).toBeLessThanOrEqual(columns);
    expect(bucketOf(within)).toBe(within);
    expect(bucketOf(within + 1)).toBeGreaterThan(columns);
  }
});
