import { every } from './clock';
import { FakeClock } from './fake-clock';

test('a periodic timer fires once per period until cancelled', async () => {
  const clock = new FakeClock();
  let count = 0;
  const timer = every(clock, 10, () => count++);
  await clock.advance(35);
  expect(count).toBe(3);
  timer.cancel();
  await clock.advance(100);
  expect(count).toBe(3);
  expect(clock.pending).toBe(0);
});
