import { FakeClock } from '@cabstand/core';
import { Watchdog } from './watchdog';

/** A clock that can jump ahead of its timers, as when the event loop is blocked. */
class JumpingClock extends FakeClock {
  skew = 0;

  override monotonic(): number {
    return super.monotonic() + this.skew;
  }
}

function setup(paused?: () => boolean) {
  const clock = new JumpingClock();
  const expired: number[] = [];
  const watchdog = new Watchdog({ clock, ...(paused === undefined ? {} : { paused }) });
  const enter = (ms: number): void => watchdog.enter(ms, (waited) => expired.push(waited));
  return { clock, watchdog, expired, enter };
}

test('a wait that takes too long expires, once', async () => {
  const { clock, expired, enter } = setup();
  enter(100);
  await clock.advance(99);
  expect(expired).toEqual([]);
  await clock.advance(1_000);
  expect(expired).toEqual([100]);
});

test('time between waits does not count: the application was not reading', async () => {
  const { clock, watchdog, expired, enter } = setup();
  enter(100);
  await clock.advance(60);
  watchdog.leave();
  await clock.advance(5_000);
  enter(100);
  await clock.advance(99);
  expect(expired).toEqual([]);
  await clock.advance(1);
  expect(expired).toEqual([100]);
});

test('signs of life start the time anew', async () => {
  const { clock, watchdog, expired, enter } = setup();
  enter(100);
  for (let i = 0; i < 10; i++) {
    await clock.advance(90);
    watchdog.touch();
  }
  expect(expired).toEqual([]);
  await clock.advance(100);
  expect(expired).toEqual([100]);
});

test('after a blocked event loop there is one more period, and only one', async () => {
  const { clock, expired, enter } = setup();
  enter(100);
  clock.skew += 60_000;
  await clock.advance(100);
  expect(expired).toEqual([]);
  clock.skew += 60_000;
  await clock.advance(100);
  expect(expired).toHaveLength(1);
});

test('where silence is as it should be, nothing expires until it is not', async () => {
  let paused = true;
  const { clock, watchdog, expired, enter } = setup(() => paused);
  enter(100);
  await clock.advance(1_050);
  paused = false;
  watchdog.touch();
  await clock.advance(99);
  expect(expired).toEqual([]);
  await clock.advance(1);
  expect(expired).toEqual([100]);
});

test('thousands of short waits need one timer', async () => {
  const { clock, watchdog, expired, enter } = setup();
  let timers = 0;
  const setTimer = clock.setTimer.bind(clock);
  clock.setTimer = (...args) => {
    timers++;
    return setTimer(...args);
  };
  for (let i = 0; i < 5_000; i++) {
    enter(1_000);
    await clock.advance(1);
    watchdog.leave();
  }
  expect(expired).toEqual([]);
  expect(timers).toBeLessThan(10);
  watchdog.stop();
  expect(clock.pending).toBe(0);
});

test('a deadline of Infinity never comes', async () => {
  const { clock, expired, enter } = setup();
  enter(Infinity);
  await clock.advance(1e9);
  expect([expired, clock.pending]).toEqual([[], 0]);
});
