import { SeededRandom } from './random';

test('numbers go on from a saved state, lie in [0, 1) and spread', () => {
  const random = new SeededRandom(7);
  const first = Array.from({ length: 1000 }, () => random.next());
  const { state } = random;
  const next = random.next();
  expect(new SeededRandom(state).next()).toBe(next);
  expect(Math.min(...first)).toBeGreaterThanOrEqual(0);
  expect(Math.max(...first)).toBeLessThan(1);
  for (const decile of [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]) {
    const within = first.filter((value) => Math.floor(value * 10) === decile).length;
    expect(within).toBeGreaterThan(60);
    expect(within).toBeLessThan(140);
  }
  expect(new SeededRandom(8).next()).not.toBe(new SeededRandom(7).next());
});
