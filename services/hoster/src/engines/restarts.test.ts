import { Restarts } from './restarts';

const LIMITS = {
  restartMs: 200,
  maxRestartMs: 1_000,
  crashes: 5,
  crashWindowMs: 60_000,
  retryMs: 30_000,
};

test('the first restart is immediate, those after it wait longer, then it gives up', () => {
  const restarts = new Restarts(LIMITS, () => 1);
  const decisions = [0, 10, 20, 30, 40].map((now) => restarts.died(now, 0));
  expect(decisions).toEqual([
    { kind: 'restart', delayMs: 0 },
    { kind: 'restart', delayMs: 200 },
    { kind: 'restart', delayMs: 400 },
    { kind: 'restart', delayMs: 800 },
    { kind: 'give-up', delayMs: 30_000, deaths: 5 },
  ]);
});

test('delays have jitter but are never near zero', () => {
  const delays = Array.from({ length: 50 }, () => {
    const restarts = new Restarts(LIMITS);
    restarts.died(0, 0);
    return restarts.died(1, 0).delayMs;
  });
  expect(Math.min(...delays)).toBeGreaterThanOrEqual(100);
  expect(Math.max(...delays)).toBeLessThanOrEqual(200);
  expect(new Set(delays).size).toBeGreaterThan(10);
});

test('deaths far apart are each the first', () => {
  const restarts = new Restarts(LIMITS);
  for (let now = 0; now < 10 * 60_001; now += 60_001)
    expect(restarts.died(now, 0)).toEqual({ kind: 'restart', delayMs: 0 });
});

test('after giving up it counts anew', () => {
  const restarts = new Restarts({ ...LIMITS, crashes: 2 });
  restarts.died(0, 0);
  expect(restarts.died(1, 0).kind).toBe('give-up');
  expect(restarts.died(2, 0)).toEqual({ kind: 'restart', delayMs: 0 });
});

test('a death after the engine served well is the first of a new series, at any pace', () => {
  const restarts = new Restarts(LIMITS, () => 1);
  for (let now = 0; now < 20 * 2_500; now += 2_500)
    expect(restarts.died(now, 2_000)).toEqual({ kind: 'restart', delayMs: 0 });
});

test('one that served a little goes on with the series', () => {
  const restarts = new Restarts(LIMITS, () => 1);
  restarts.died(0, 60_000);
  expect(restarts.died(2_000, 1_999)).toEqual({ kind: 'restart', delayMs: 200 });
  expect(restarts.died(4_000, 1_999)).toEqual({ kind: 'restart', delayMs: 400 });
  expect(restarts.died(7_000, 2_000)).toEqual({ kind: 'restart', delayMs: 0 });
  expect(restarts.died(7_500, 100)).toEqual({ kind: 'restart', delayMs: 200 });
});
