import { FakeClock } from '@cabstand/core';
import type { SessionEvent } from '@cabstand/sessions';
import { PaceMeter } from './pace';

function event(kind: 'record' | 'first_chunk', model: string, seconds = 0): SessionEvent {
  return { kind, seconds, session: { model: { name: model } } } as SessionEvent;
}

test('each reader is told of the time since it read last, of each model its own', async () => {
  const clock = new FakeClock();
  const meter = new PaceMeter(clock);
  const still = { recordsPerSecond: 0, firstChunkSeconds: 0 };
  expect(meter.take('r1', 'a')).toEqual(still);
  expect(meter.take('r2', 'a')).toEqual(still);
  for (let i = 0; i < 10; i++) meter.observe(event('record', 'a'));
  meter.observe(event('first_chunk', 'a', 0.2));
  meter.observe(event('first_chunk', 'a', 0.4));
  meter.observe(event('record', 'b'));
  await clock.advance(2000);
  expect(meter.take('r1', 'a')).toEqual({
    recordsPerSecond: 5,
    firstChunkSeconds: expect.closeTo(0.3) as number,
  });
  await clock.advance(2000);
  expect(meter.take('r1', 'a')).toEqual(still);
  expect(meter.take('r2', 'a').recordsPerSecond).toBe(2.5);
  expect(meter.take('r1', 'b')).toEqual(still);
});

test('twice at the same moment there is nothing to tell, and nothing is counted twice', async () => {
  const clock = new FakeClock();
  const meter = new PaceMeter(clock);
  meter.take('r', 'a');
  await clock.advance(1000);
  meter.observe(event('record', 'a'));
  expect(meter.take('r', 'a').recordsPerSecond).toBe(1);
  expect(meter.take('r', 'a').recordsPerSecond).toBe(0);
});
