import fc from 'fast-check';
import { TokenBucket } from './token-bucket';

test('no more is taken in any time than what was there and what has come since', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 20 }),
      fc.integer({ min: 1, max: 50 }),
      fc.array(fc.integer({ min: 0, max: 400 }), { maxLength: 200 }),
      (perSecond, most, pauses) => {
        const bucket = new TokenBucket(perSecond / 1000, most, 0);
        let now = 0;
        let taken = 0;
        for (const pause of pauses) {
          now += pause;
          if (bucket.take(now)) taken++;
        }
        expect(taken).toBeLessThanOrEqual(most + (now * perSecond) / 1000 + 1e-6);
      },
    ),
  );
});

test('it says how long to wait, fills up, and holds no more than it may', () => {
  const bucket = new TokenBucket(0.01, 2, 0);
  expect([bucket.take(0), bucket.take(0), bucket.take(0)]).toEqual([true, true, false]);
  expect(bucket.waitMs(0)).toBe(100);
  expect(bucket.waitMs(40)).toBe(60);
  expect(bucket.left(1e9)).toBe(2);
  expect(bucket.waitMs(1e9)).toBe(0);
  bucket.add(5);
  expect(bucket.left(1e9)).toBe(2);
  for (let i = 0; i < 3; i++) bucket.spend(1e9);
  expect(bucket.left(1e9)).toBe(0);
  bucket.add(5);
  expect(bucket.left(1e9)).toBe(2);
});
