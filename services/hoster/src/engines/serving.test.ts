import { FakeClock } from '@cabstand/core';
import type { FromEngine } from '@cabstand/engine';
import type { EngineProcess } from './engine-process';
import { noObserver, silentLog } from './observer';
import { resolveEngineOptions } from './options';
import { MovingAverage, Serving } from './serving';
import type { ServingDeps } from './serving';

const step = (batch: number): FromEngine => ({ type: 'STEP', seconds: 0.001, batch, items: [] });

test('how long it served is until its last step, not until its death', async () => {
  const clock = new FakeClock(0);
  const process: Pick<EngineProcess, 'exited' | 'onFrame'> = {
    exited: new Promise(() => undefined),
    onFrame: () => undefined,
  };
  const serving = new Serving(
    process as unknown as EngineProcess,
    { model: 'm', version: '1' },
    new MovingAverage(),
    {
      options: resolveEngineOptions({ silenceMs: 60_000 }),
      clock,
      log: silentLog,
      observer: noObserver,
      onChange: () => undefined,
    } as unknown as ServingDeps,
  );
  await clock.advance(1_000);
  // Only ends of turns and takings: no model run.
  process.onFrame(step(0));
  expect(serving.servedMs).toBe(0);
  process.onFrame(step(1));
  expect(serving.servedMs).toBe(1_000);
  await clock.advance(2_000);
  expect(serving.servedMs).toBe(1_000);
  process.onFrame(step(2));
  expect(serving.servedMs).toBe(3_000);
});
