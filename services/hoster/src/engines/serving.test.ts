import { FakeClock } from '@cabstand/core';
import type { FromEngine } from '@cabstand/engine';
import type { EngineProcess } from './engine-process';
import { noObserver, silentLog } from './observer';
import type { EngineObserver, EngineSpending } from './observer';
import { resolveEngineOptions } from './options';
import { MovingAverage, Serving } from './serving';
import type { ServingDeps } from './serving';

const step = (batch: number): FromEngine => ({ type: 'STEP', seconds: 0.001, batch, items: [] });

function serve(clock: FakeClock, observer: EngineObserver = noObserver) {
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
      observer,
      onChange: () => undefined,
    } as unknown as ServingDeps,
  );
  return { process, serving };
}

test('how long it served is until its last step, not until its death', async () => {
  const clock = new FakeClock(0);
  const { process, serving } = serve(clock);
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

test('what an engine has spent is told as what is new, and never falls', () => {
  const told: EngineSpending[] = [];
  const observer = {
    ...noObserver,
    spent: (_: unknown, spent: EngineSpending) => told.push(spent),
  };
  const { process } = serve(new FakeClock(0), observer);
  const stats = (auditSeconds: number, cpuSeconds?: number): FromEngine => ({
    ...{
      type: 'STATS',
      rssBytes: 1,
      busySeconds: 0,
      sequences: 0,
      stateBytes: 0,
      ready: 0,
      audits: 0,
    },
    auditSeconds,
    ...(cpuSeconds === undefined ? {} : { cpuSeconds }),
  });
  for (const frame of [stats(0, 2), stats(0.25, 3), stats(0.25), stats(0, 2.5), stats(0.5, 5)])
    process.onFrame(frame);
  expect(told).toEqual([
    { cpuSeconds: 2, auditSeconds: 0 },
    { cpuSeconds: 1, auditSeconds: 0.25 },
    { cpuSeconds: 0, auditSeconds: 0 },
    { cpuSeconds: 0, auditSeconds: 0 },
    { cpuSeconds: 2, auditSeconds: 0.25 },
  ]);
});
