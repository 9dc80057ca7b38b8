import { CabstandError, FakeClock } from '@cabstand/core';
import * as fc from 'fast-check';
import { failure } from './keys.fixture';
import { RateLimiter } from './rate-limit';

test('a burst passes, then calls come at the rate', async () => {
  const clock = new FakeClock();
  const limiter = new RateLimiter({ requestsPerSecond: 10, burst: 3, clock });
  for (let i = 0; i < 3; i++) limiter.take('alice');
  const error = await failure(() => limiter.take('alice'));
  expect(error.reason).toBe('RATE_LIMITED');
  expect(error.retryAfterMs).toBe(101);
  limiter.take('bob');
  await clock.advance(error.retryAfterMs ?? 0);
  limiter.take('alice');
});

test('never more than the burst and the rate, and the given wait is always enough', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.double({ min: 0.5, max: 5000, noNaN: true }),
      fc.integer({ min: 1, max: 20 }),
      fc.array(fc.integer({ min: 0, max: 500 }), { maxLength: 60 }),
      async (requestsPerSecond, burst, waits) => {
        const clock = new FakeClock(0);
        const limiter = new RateLimiter({ requestsPerSecond, burst, clock });
        let granted = 0;
        for (const wait of waits) {
          await clock.advance(wait);
          try {
            limiter.take('alice');
            granted++;
          } catch (error) {
            if (!CabstandError.is(error)) throw error;
            await clock.advance(error.retryAfterMs ?? 0);
            limiter.take('alice');
            granted++;
          }
          expect(granted).toBeLessThanOrEqual(
            burst + (clock.now() * requestsPerSecond) / 1000 + 1e-3,
          );
        }
      },
    ),
  );
});

test('strangers cannot wash a limit away: the fullest bucket is forgotten first', async () => {
  const clock = new FakeClock();
  const limiter = new RateLimiter({ requestsPerSecond: 1, burst: 10, maxPrincipals: 4, clock });
  for (let i = 0; i < 10; i++) limiter.take('greedy');
  for (let i = 0; i < 100; i++) {
    limiter.take(`stranger-${i}`);
    expect(limiter.size).toBeLessThanOrEqual(4);
  }
  expect((await failure(() => limiter.take('greedy'))).reason).toBe('RATE_LIMITED');
});

test.each([
  { requestsPerSecond: 0 },
  { requestsPerSecond: NaN },
  { burst: 0.5 },
  { maxPrincipals: 0 },
])('%j is refused', (options) => {
  expect(() => new RateLimiter(options)).toThrow(Object.keys(options)[0]);
});
