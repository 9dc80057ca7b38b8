import fc from 'fast-check';
import { Scheduler } from './scheduler';
import { newSequence } from './sequence';
import type { Sequence } from './sequence';

interface Job extends Sequence {
  readonly key: object;
  readonly rows: number;
}

/** Always has work; groups and weights are given. */
const stepper = (maxBatch: number): ConstructorParameters<typeof Scheduler<Job>>[0] => ({
  maxBatch,
  ready: () => true,
  group: ({ key }) => key,
  weight: ({ rows }) => Math.min(rows, maxBatch),
});

const KEYS = [{}, {}, {}];

const job = (id: number, priority = 0, key = 0, rows = 1, records = 1e9): Job => ({
  ...newSequence(id, priority),
  rows,
  records,
  key: KEYS[key] as object,
  bytes: 1e9,
  turn: { number: 0, steps: 0, records: 0, taken: 0, cancelled: false },
});

test('batches are of one group, within the limit and within credit, and nobody starves', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 8 }),
      fc.array(
        fc.tuple(
          fc.integer({ min: 0, max: 9 }),
          fc.integer({ min: 0, max: 2 }),
          fc.integer({ min: 1, max: 3 }),
          fc.integer({ min: 0, max: 120 }),
        ),
        { minLength: 1, maxLength: 30 },
      ),
      (maxBatch, shapes) => {
        const jobs = shapes.map(([priority, key, rows, records], id) =>
          job(id, priority, key, rows, records),
        );
        const scheduler = new Scheduler(stepper(maxBatch));
        const left = jobs.map(({ records }) => records);
        const waits = jobs.map(() => 0);
        for (;;) {
          const batch = scheduler.next(jobs);
          if (batch.length === 0) break;
          expect(new Set(batch.map(({ key }) => key)).size).toBe(1);
          const rows = batch.reduce((sum, one) => sum + Math.min(one.rows, maxBatch), 0);
          expect(rows).toBeLessThanOrEqual(maxBatch);
          for (const one of jobs)
            waits[one.id] = batch.includes(one) || one.records === 0 ? 0 : (waits[one.id] ?? 0) + 1;
          for (const one of batch) {
            one.records -= 1;
            left[one.id] = (left[one.id] ?? 0) - 1;
          }
          // Ten levels of priority, eight steps each, and a turn of everybody else.
          expect(Math.max(...waits)).toBeLessThanOrEqual(10 * 8 + 8 * jobs.length);
        }
        expect(left.every((records) => records === 0)).toBe(true);
      },
    ),
    { numRuns: 40 },
  );
});

test('sequences keep together, in batches of one size, though they do not fill them', () => {
  const jobs = Array.from({ length: 33 }, (_, id) => job(id));
  const scheduler = new Scheduler(stepper(16));
  const shape = (): string =>
    scheduler
      .next(jobs)
      .map(({ id }) => id)
      .join();
  const round = [shape(), shape(), shape()];
  expect(round.map((ids) => ids.split(',').length)).toEqual([11, 11, 11]);
  for (let again = 0; again < 20; again += 1) expect([shape(), shape(), shape()]).toEqual(round);
});

test('31 sequences settle into 16 and 15', () => {
  const jobs = Array.from({ length: 31 }, (_, id) => job(id));
  const scheduler = new Scheduler(stepper(16));
  const shapes = Array.from({ length: 40 }, () =>
    scheduler
      .next(jobs)
      .map(({ id }) => id)
      .join(),
  );
  expect(new Set(shapes.slice(10)).size).toBe(2);
});

test('a higher priority goes first, and without credit nothing goes', () => {
  const [low, high, broke] = [job(0, 0), job(1, 5), job(2, 9, 0, 1, 0)];
  const scheduler = new Scheduler(stepper(1));
  expect(scheduler.next([low, high, broke])).toEqual([high]);
  expect(scheduler.next([broke])).toEqual([]);
});
