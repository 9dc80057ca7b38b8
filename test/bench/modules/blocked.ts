/** A module whose loop never yields: when it sees its stop, and whether its engine's heartbeats go on. */
import { sleep } from '@cabstand/core';
import { load } from '../load';
import { heading, print } from '../report';
import { format, quantile, show, spread } from '../stats';
import type { BenchEngine } from './engine';
import { recordsOf } from './engine';

const STOPS = 200;
const WITHIN_MS = 1;
const STATS_PERIOD_MS = 1000;
/** A heartbeat is on time if it is no later than this. */
const LATE_MS = 200;

/** Milliseconds from the hoster's write to the look of the author's loop that found its stop. */
async function stopDelay(engine: BenchEngine): Promise<number> {
  let sent = 0n;
  let seen: ((delay: number) => void) | undefined;
  const delay = new Promise<number>((resolve) => (seen = resolve));
  let count = 0;
  let began: (() => void) | undefined;
  const begun = new Promise<void>((resolve) => (began = resolve));
  const stop = engine.listen((frames) => {
    for (const { body } of recordsOf(frames)) {
      count += 1;
      if (count === 1) began?.();
      else seen?.(Number(BigInt(/\d{6,}/.exec(body.toString('latin1'))?.[0] ?? 0) - sent) / 1e6);
    }
  });
  const sequence = engine.begin(10);
  await begun;
  await sleep(5 + Math.random() * 15);
  sent = process.hrtime.bigint();
  await engine.end(sequence);
  stop();
  return await delay;
}

/** Milliseconds between the engine's STATS. */
async function heartbeats(engine: BenchEngine, seconds: number): Promise<number[]> {
  const times: number[] = [];
  const stop = engine.listen((frames) => {
    for (const { type } of frames) if (type === 'STATS') times.push(performance.now());
  });
  await sleep(seconds * 1000);
  stop();
  return times.slice(1).map((time, index) => time - (times[index] ?? NaN));
}

/** @param seconds that heartbeats are counted for, with and without */
export async function benchBlocked(engine: BenchEngine, seconds: number): Promise<void> {
  const loads = [load()];
  const delays: number[] = [];
  for (let trial = 0; trial < STOPS; trial += 1) delays.push(await stopDelay(engine));
  const idle = await heartbeats(engine, seconds);
  const sequence = engine.begin(10);
  const beside = await heartbeats(engine, seconds);
  await engine.end(sequence);
  loads.push(load());
  const median = quantile(delays, 0.5);
  const longest = Math.max(...beside);
  heading(
    'an author’s loop that never yields',
    `${STOPS} stops; heartbeats for ${seconds} s; load of the machine ${show(spread(loads), 1)}`,
  );
  print([
    {
      what: 'stop seen in the loop, ms after it was written: median',
      value: format(median, 3),
      target: { text: `below ${WITHIN_MS}`, met: median < WITHIN_MS },
    },
    { what: 'stop seen in the loop, ms: p90', value: format(quantile(delays, 0.9), 3) },
    { what: 'stop seen in the loop, ms: p99', value: format(quantile(delays, 0.99), 3) },
    { what: 'ms between heartbeats, no session: longest', value: format(Math.max(...idle), 1) },
    { what: 'ms between heartbeats, beside the loop: median', value: show(spread(beside), 1) },
    {
      what: 'ms between heartbeats, beside the loop: longest',
      value: format(longest, 1),
      target: {
        text: `at most ${STATS_PERIOD_MS + LATE_MS}`,
        met: longest <= STATS_PERIOD_MS + LATE_MS,
      },
    },
  ]);
}
