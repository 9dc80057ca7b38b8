import { FakeClock } from '@cabstand/core';
import { Closers } from './closers';
import { createLogger } from './log';

const logger = createLogger({ name: 'test', level: 'silent' });

test('what was opened last is closed first, and a failure stops nothing', async () => {
  const order: string[] = [];
  const closers = new Closers(logger);
  closers.add('first', 1000, () => Promise.resolve(order.push('first')));
  closers.add('broken', 1000, () => {
    throw new Error('broken');
  });
  closers.add('last', 1000, () => Promise.resolve(order.push('last')));
  await expect(closers.closeAll()).resolves.toBe(false);
  expect(order).toEqual(['last', 'first']);
});

test('what does not close in time is told so and passed over', async () => {
  const clock = new FakeClock();
  const closers = new Closers(logger, clock);
  let aborted = false;
  let reached = false;
  closers.add('next', 1000, () => Promise.resolve((reached = true)));
  closers.add('stuck', 500, (signal) => {
    signal.addEventListener('abort', () => (aborted = true));
    return new Promise(() => undefined);
  });
  const closing = closers.closeAll();
  await clock.advance(499);
  expect(reached).toBe(false);
  await clock.advance(1);
  await expect(closing).resolves.toBe(false);
  expect({ aborted, reached }).toEqual({ aborted: true, reached: true });
  expect(clock.pending).toBe(0);
});
