import type { v1 } from '@cabstand/rpc';
import { ToldLoad } from './told-load';

const MODEL = { model: 'm', free_slots: 3, resume_slots: 1, queue_depth: 0, step_seconds: 0.01 };
const LOAD = { models: [MODEL], open_sessions: 2, event_loop_lag_seconds: 0.001 };

function told(...loads: v1.Load[]): boolean[] {
  const told = new ToldLoad();
  return loads.map((load) => told.news(load) !== undefined);
}

test('a load is told once, and again when anything has changed by which sessions are placed', () => {
  expect(told(LOAD, { ...LOAD })).toEqual([true, false]);
  for (const change of [
    { free_slots: 2 },
    { resume_slots: 0 },
    { queue_depth: 1 },
    { step_seconds: 0.02 },
    { step_seconds: 0 },
    { model: 'n' },
  ])
    expect(told(LOAD, { ...LOAD, models: [{ ...MODEL, ...change }] })).toEqual([true, true]);
  expect(told(LOAD, { ...LOAD, models: [] })).toEqual([true, true]);
  expect(told(LOAD, { ...LOAD, models: [MODEL, { model: 'n' }] })).toEqual([true, true]);
  expect(told(LOAD, { ...LOAD, open_sessions: 3 })).toEqual([true, true]);
  expect(told(LOAD, { ...LOAD, event_loop_lag_seconds: 0.1 })).toEqual([true, true]);
});

test('times that hardly differ from what was told last are not told, and do not drift away', () => {
  const step = (seconds: number): v1.Load => ({
    ...LOAD,
    models: [{ ...MODEL, step_seconds: seconds }],
  });
  expect(told(step(0), step(0))).toEqual([true, false]);
  expect(told(step(0.01), step(0.011), step(0.009), step(0.0124))).toEqual([
    ...[true, false, false, false],
  ]);
  expect(told(step(0.01), step(0.012), step(0.014))).toEqual([true, false, true]);
  const lag = (seconds: number): v1.Load => ({ ...LOAD, event_loop_lag_seconds: seconds });
  expect(told(lag(0), lag(0.002), lag(0.0005))).toEqual([true, false, false]);
});

test('how fast sessions are is told again once it is faster, slower, or nothing any more', () => {
  const pace = (records: number, first: number): v1.Load => ({
    ...LOAD,
    models: [{ ...MODEL, records_per_second: records, first_chunk_seconds: first }],
  });
  expect(told(pace(0, 0), pace(100, 0), pace(110, 0), pace(0, 0))).toEqual([
    ...[true, true, false, true],
  ]);
  expect(told(pace(100, 0.2), pace(100, 0.22), pace(100, 0.4), pace(100, 0))).toEqual([
    ...[true, false, true, true],
  ]);
});

test('a router that may have forgotten is told everything', () => {
  const load = new ToldLoad();
  expect(load.news(LOAD)).toBe(LOAD);
  load.forget();
  expect(load.news(LOAD)).toBe(LOAD);
});
