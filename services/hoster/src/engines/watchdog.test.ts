import { FakeClock, every } from '@cabstand/core';
import { Watchdog, hardLimit } from './watchdog';
import type { WatchdogView } from './watchdog';

const LIMITS = { stallMs: 2_000, stallSteps: 50, firstStepMs: 30_000, silenceMs: 10_000 };
const BUSY = { hasWork: true, stepSeconds: 0.001, unusual: false };
const IDLE = { hasWork: false, stepSeconds: 0.001, unusual: false };

/** Runs a watchdog for `ms` and answers when it barked, in milliseconds, or undefined. */
async function watch(
  ms: number,
  view: WatchdogView,
  frames: (clock: FakeClock, dog: Watchdog) => void = () => undefined,
): Promise<number | undefined> {
  const clock = new FakeClock(0);
  const dog = new Watchdog(LIMITS, clock.monotonic());
  frames(clock, dog);
  let barked: number | undefined;
  every(clock, dog.periodMs, () => {
    if (dog.tick(clock.monotonic(), view).kind === 'stalled') barked ??= clock.monotonic();
  });
  await clock.advance(ms);
  return barked;
}

test('an engine with work that sends nothing is stalled at the hard limit', async () => {
  expect(await watch(1_999, BUSY)).toBeUndefined();
  expect(await watch(5_000, BUSY)).toBe(2_000);
});

test('an engine without work may be silent longer', async () => {
  expect(await watch(9_000, IDLE)).toBeUndefined();
  expect(await watch(20_000, IDLE)).toBe(10_000);
});

test('slow steps get fifty times their time, and the first one its own limit', async () => {
  expect(await watch(9_900, { hasWork: true, stepSeconds: 0.2, unusual: false })).toBeUndefined();
  expect(await watch(20_000, { hasWork: true, stepSeconds: 0.2, unusual: false })).toBe(10_000);
  expect(await watch(29_000, { hasWork: true, stepSeconds: 0, unusual: false })).toBeUndefined();
  expect(await watch(40_000, { hasWork: true, stepSeconds: 0, unusual: false })).toBe(30_000);
  // Steps of small turns say nothing of a large one's.
  const large = { hasWork: true, stepSeconds: 0.001, unusual: true };
  expect(await watch(29_000, large)).toBeUndefined();
  expect(await watch(40_000, large)).toBe(30_000);
  expect(hardLimit(LIMITS, 0.01)).toBe(2_000);
});

test('frames of any kind put it off', async () => {
  const barked = await watch(60_000, BUSY, (clock, dog) => {
    every(clock, 1_000, () => dog.stepped());
  });
  expect(barked).toBeUndefined();
});

test('an engine that reports work and never steps is stalled', async () => {
  const barked = await watch(60_000, BUSY, (clock, dog) => {
    every(clock, 1_000, () => dog.reported(3));
  });
  expect(barked).toBeGreaterThanOrEqual(3_000);
  expect(barked).toBeLessThanOrEqual(4_500);
});

test('reports of nothing to do are fine for ever', async () => {
  const barked = await watch(600_000, { ...BUSY }, (clock, dog) => {
    every(clock, 1_000, () => dog.reported(0));
  });
  expect(barked).toBeUndefined();
});

test('a main process that was itself stopped blames nobody', () => {
  const dog = new Watchdog(LIMITS, 0);
  expect(dog.tick(60_000, BUSY).kind).toBe('fine');
  dog.heard();
  expect(dog.tick(60_250, BUSY).kind).toBe('fine');
});
