/** Whether a session comes to its end when it is told to, and how fast. */
import { MOST_BYTES } from './bench';
import type { Bench } from './bench';
import type { EngineChild } from './engine-child';
import { count, failed, open, passed } from './report';
import type { Finding } from './report';
import { Trial } from './trial';
import type { Given } from './trial';

const FEW_RECORDS = 3;
/** Until it has begun. */
const BEGUN_MS = 1000;
/** Beyond the grace, for a machine that is busy. */
const BEYOND_MS = 3000;

export async function checkStop(
  bench: Bench,
  engine: EngineChild,
  given: Given,
): Promise<Finding[]> {
  const { graceMs } = bench;
  bench.progress('stopping a session');
  const trial = new Trial(engine, given);
  trial.begin();
  trial.grant(FEW_RECORDS, MOST_BYTES);
  await trial.until(() => trial.records.length >= FEW_RECORDS, BEGUN_MS);
  if (trial.end !== undefined)
    return [
      open('stop', `not tried: it ended by itself after ${count(trial.records.length, 'record')}`),
    ];
  const begun = performance.now();
  trial.stop(graceMs);
  const ended = await trial.until(() => trial.end !== undefined, graceMs + BEYOND_MS);
  const took = performance.now() - begun;
  const grace = `${graceMs / 1000} s`;
  if (!ended || took >= graceMs)
    return [
      failed(
        'stop',
        `a stop is ignored: it did not end within limits.stop_grace_seconds, ${grace}`,
        'Ask ctx.shouldStop() in each round of the loop, and end the loop where ctx.idle() answers false.',
      ),
    ];
  trial.close();
  return [passed('stop', `obeyed after ${took.toFixed(took < 10 ? 1 : 0)} ms, of ${grace}`)];
}
