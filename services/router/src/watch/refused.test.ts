import { CabstandError, FakeClock } from '@cabstand/core';
import { Refused } from './refused';

const REFUSAL = new CabstandError('QUOTA_EXCEEDED', 'too many');
const MEAN_MS = 10_000;

test('who has many refusals that wait is refused less often, and others are as before', async () => {
  const clock = new FakeClock();
  const refused = new Refused(clock, () => 0.5, MEAN_MS);
  const told = new Map<string, number>();
  const hold = (who: string): void => {
    refused.hold(REFUSAL, who, new AbortController().signal).catch(() => {
      told.set(who, (told.get(who) ?? 0) + 1);
    });
  };
  for (let i = 0; i < 2000; i++) hold('bob');
  hold('alice');
  await clock.advance(MEAN_MS);
  expect(Object.fromEntries(told)).toEqual({ bob: 100, alice: 1 });
  await clock.advance(5 * MEAN_MS);
  expect(told.get('bob')).toBe(2000);
  expect(refused.size).toBe(0);
});
