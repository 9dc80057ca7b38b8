import { CabstandError } from '@cabstand/core';
import * as fc from 'fast-check';
import { failure } from './keys.fixture';
import { NonceCache } from './nonces';

test('one key cannot use up the room of the others', async () => {
  const cache = new NonceCache({ maxNonces: 10, maxNoncesPerKey: 2 });
  cache.use('a', 'n1', 60_000, 0);
  cache.use('a', 'n2', 60_000, 0);
  const error = await failure(() => cache.use('a', 'n3', 60_000, 0));
  expect(error.reason).toBe('RATE_LIMITED');
  cache.use('b', 'n1', 60_000, 0);
  cache.use('a', 'n3', 61_000 + 60_000, error.retryAfterMs ?? 0);
});

test('no nonce passes twice while its request counts, and the limits hold', () => {
  const step = fc.record({
    key: fc.constantFrom('a', 'b'),
    nonce: fc.integer({ min: 0, max: 8 }),
    signed: fc.integer({ min: -1000, max: 1000 }),
    wait: fc.integer({ min: 0, max: 700 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const windowMs = 1000;
      const cache = new NonceCache({ maxNonces: 6, maxNoncesPerKey: 4 });
      const passed = new Set<string>();
      let now = 0;
      for (const { key, nonce, signed, wait } of steps) {
        now += wait;
        const at = now + signed;
        const id = `${key} ${nonce} ${at}`;
        try {
          cache.use(key, String(nonce), at + windowMs, now);
          expect(passed).not.toContain(id);
          passed.add(id);
        } catch (error) {
          if (!CabstandError.is(error)) throw error;
          expect(['CREDENTIALS_REPLAYED', 'RATE_LIMITED']).toContain(error.reason);
        }
        expect(cache.size).toBeLessThanOrEqual(6);
      }
      // Everything is forgotten in the end.
      cache.use('z', 'z', now + 10_000, now + 5000);
      expect(cache.size).toBe(1);
    }),
  );
});
