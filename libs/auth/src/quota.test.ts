import * as fc from 'fast-check';
import { failure } from './keys.fixture';
import { Quota } from './quota';

test('one more than allowed is refused until one is gone', async () => {
  const quota = new Quota({ what: 'sessions', perPrincipal: 2 });
  const release = quota.take('alice');
  quota.take('alice');
  const error = await failure(() => quota.take('alice'));
  expect(error.reason).toBe('QUOTA_EXCEEDED');
  expect(error.message).toBe('alice has 2 sessions already');
  quota.take('bob');
  release();
  release();
  expect(quota.count('alice')).toBe(1);
  quota.take('alice');
});

test('counts are exact on any schedule, and nothing is kept of who has none', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.boolean()), { maxLength: 100 }),
      (steps) => {
        const quota = new Quota({ what: 'sessions', perPrincipal: 3, maxPrincipals: 2 });
        const held: Record<string, (() => void)[]> = { a: [], b: [], c: [] };
        const others = (name: string) =>
          Object.keys(held).filter((key) => key !== name && (held[key]?.length ?? 0) > 0).length;
        for (const [name, take] of steps) {
          const mine = held[name] ?? [];
          if (!take) mine.pop()?.();
          else {
            const room = mine.length < 3 && (mine.length > 0 || others(name) < 2);
            if (room) mine.push(quota.take(name));
            else expect(() => quota.take(name)).toThrow();
          }
          expect(quota.count(name)).toBe(mine.length);
        }
        for (const releases of Object.values(held)) for (const release of releases) release();
        expect(quota.size).toBe(0);
      },
    ),
  );
});
