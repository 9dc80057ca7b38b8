import { FakeClock } from '@cabstand/core';
import { createLogger } from './log';
import { RefusalLog } from './refusal-log';

function recorded() {
  const lines: Record<string, unknown>[] = [];
  const logger = createLogger({
    name: 'test',
    destination: { write: (line) => void lines.push(JSON.parse(line) as Record<string, unknown>) },
  });
  const clock = new FakeClock();
  return { lines, clock, log: new RefusalLog(logger, clock) };
}

test('ten lines a second and reason, and the number of the rest', async () => {
  const { lines, clock, log } = recorded();
  for (let i = 0; i < 5000; i++) log.refused('UNAUTHENTICATED', () => ({ number: i }));
  log.refused('HOSTER_FULL', () => ({ principal: 'alice' }));
  expect(lines).toHaveLength(11);
  expect(lines.at(-1)).toMatchObject({ reason: 'HOSTER_FULL', principal: 'alice' });
  await clock.advance(1000);
  expect(lines.slice(11)).toEqual([
    expect.objectContaining({ reason: 'UNAUTHENTICATED', refused: 4990 }),
  ]);
  log.refused('UNAUTHENTICATED', () => ({ number: 'next' }));
  expect(lines.at(-1)).toMatchObject({ number: 'next', msg: 'call refused' });
});

test('what was counted is said at the end, and where nothing is refused no timer runs', async () => {
  const { lines, clock, log } = recorded();
  for (let i = 0; i < 15; i++) log.refused('RATE_LIMITED', () => ({}));
  log.flush();
  expect(lines.at(-1)).toMatchObject({ reason: 'RATE_LIMITED', refused: 5 });
  log.refused('RATE_LIMITED', () => ({}));
  await clock.advance(2000);
  expect(clock.pending).toBe(0);
});
