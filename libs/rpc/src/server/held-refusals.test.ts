import { setMaxListeners } from 'node:events';
import { CabstandError, FakeClock } from '@cabstand/core';
import { HeldRefusals } from './held-refusals';

const REFUSAL = new CabstandError('RATE_LIMITED', 'too many');
const MIB = 1 << 20;
const NEVER = new AbortController().signal;
// All calls of these tests share it.
setMaxListeners(0, NEVER);

function bench(most = 1000, mostOfOne = 500) {
  const clock = new FakeClock();
  const held = new HeldRefusals({ most, mostOfOne }, clock);
  let told = 0;
  const refuse = (who: string, times = 1, signal = NEVER, bytes = 0): void => {
    for (let i = 0; i < times; i++)
      held.hold(who, REFUSAL, signal, bytes).catch((error: unknown) => {
        if (error === REFUSAL) told += 1;
      });
  };
  return {
    ...{ clock, held, refuse },
    /** Refusals that were told since the last time. */
    told: async (ms = 0): Promise<number> => {
      await clock.advance(ms);
      const count = told;
      told = 0;
      return count;
    },
  };
}

test('the first refusals of a burst are told at once, further ones at a pace', async () => {
  const { held, refuse, told } = bench();
  refuse('bob', 400);
  const first = await told();
  expect(first).toBeGreaterThanOrEqual(100);
  expect(first).toBeLessThan(110);
  expect(await told(1000)).toBe(50);
  expect(await told(1000)).toBe(50);
  expect(held.size).toBe(300 - (first - 100) - 100);
});

test('a caller that comes again at once is refused at that pace, however many loops it has', async () => {
  const { clock, held, refuse, told } = bench();
  const loops = 450;
  refuse('bob', loops);
  let refused = 0;
  for (let second = 0; second < 20; second++) {
    refuse('bob', loops - held.size);
    await clock.advance(1000);
    refused += await told();
  }
  expect(refused).toBeLessThan(100 + 20 * 50 + 10);
});

test('refusals of one hold up nobody else', async () => {
  const { refuse, told } = bench();
  refuse('bob', 400);
  await told();
  refuse('alice');
  expect(await told()).toBe(1);
});

test('who was patient is told at once again', async () => {
  const { refuse, told } = bench();
  refuse('bob', 300);
  await told(60_000);
  refuse('bob', 50);
  expect(await told()).toBe(50);
});

test('what is held is bounded, of one and of all', async () => {
  const { held, refuse } = bench(300, 200);
  refuse('bob', 500);
  expect(held.size).toBe(200);
  refuse('eve', 500);
  expect(held.size).toBe(300);
});

test('refusals of large requests count by their bytes', async () => {
  const { clock, held, refuse, told } = bench();
  const loops = 40;
  refuse('bob', loops, NEVER, MIB);
  let refused = await told();
  expect(refused).toBeLessThanOrEqual(21);
  for (let second = 0; second < 10; second++) {
    refuse('bob', loops - held.size, NEVER, MIB);
    await clock.advance(1000);
    refused += await told();
  }
  // Twelve and a half MiB a second after the first 25.
  expect(refused).toBeLessThan(25 + 10 * 13);
});

test('what is held is bounded by the bytes of its requests, too', () => {
  const { held, refuse } = bench();
  refuse('bob', 200, NEVER, MIB);
  expect(held.size).toBe(64);
  for (const who of ['eve', 'mallory', 'trudy', 'oscar']) refuse(who, 200, NEVER, MIB);
  expect(held.size).toBe(256);
});

test('a call that is over and a server that stops wait for nothing', async () => {
  const { held, refuse, told } = bench();
  const gone = new AbortController();
  refuse('bob', 200);
  refuse('bob', 5, gone.signal);
  await told();
  const before = held.size;
  gone.abort();
  expect(held.size).toBe(before - 5);
  held.close();
  expect(held.size).toBe(0);
  refuse('bob');
  expect(held.size).toBe(0);
});
