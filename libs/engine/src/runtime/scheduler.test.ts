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

const job = (id: number, priority = 0, key = 0, rows = 1, records = 1e9, owner = ''): Job => ({
  ...newSequence(id, priority),
  owner,
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
          fc.constantFrom('alice', 'bob', 'carol'),
        ),
        { minLength: 1, maxLength: 30 },
      ),
      (maxBatch, shapes) => {
        const jobs = shapes.map(([priority, key, rows, records, owner], id) =>
          job(id, priority, key, rows, records, owner),
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
          // Ten levels of priority, eight steps each, and a turn of everybody else; one owner's steps are a
          // third of all, and another may be ahead by the rows of a batch.
          expect(Math.max(...waits)).toBeLessThanOrEqual(3 * (10 * 8 + 8 * jobs.length + maxBatch));
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

test('owners get rows evenly, whatever number, priority, group and size their sequences have', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 8 }),
      fc.array(
        fc.array(
          fc.tuple(
            fc.integer({ min: 0, max: 9 }),
            fc.integer({ min: 0, max: 2 }),
            fc.integer({ min: 1, max: 3 }),
          ),
          { minLength: 1, maxLength: 12 },
        ),
        { minLength: 2, maxLength: 4 },
      ),
      (maxBatch, owners) => {
        const jobs: Job[] = [];
        for (const [owner, shapes] of owners.entries())
          for (const [priority, key, rows] of shapes)
            jobs.push(job(jobs.length, priority, key, rows, 1e9, `owner-${owner}`));
        const scheduler = new Scheduler(stepper(maxBatch));
        const led = owners.map(() => 0);
        const steps = 400;
        for (let step = 0; step < steps; step++) {
          const batch = scheduler.next(jobs);
          for (const owner of led.keys())
            if (batch.some((one) => one.owner === `owner-${owner}`))
              led[owner] = (led[owner] ?? 0) + 1;
        }
        // Each is in at least its share of the steps, less what another may be ahead at the end.
        for (const count of led)
          expect(count).toBeGreaterThanOrEqual(Math.floor(steps / owners.length / maxBatch) - 8);
      },
    ),
    { numRuns: 60 },
  );
});

test('one sequence of alice runs in every other step beside 56 of bob, whatever their priority', () => {
  const bobs = Array.from({ length: 56 }, (_, id) => job(id, 9, 0, 1, 1e9, 'bob'));
  const alice = job(56, 0, 1, 1, 1e9, 'alice');
  const scheduler = new Scheduler(stepper(1));
  const batches = Array.from({ length: 100 }, () => scheduler.next([...bobs, alice]));
  expect(batches.filter((batch) => batch.includes(alice)).length).toBe(50);
});

test('who comes back gets no steps for the time it was away', () => {
  const [bob, alice] = [job(0, 0, 0, 1, 1e9, 'bob'), job(1, 0, 1, 1, 1e9, 'alice')];
  const others = [job(2, 0, 0, 1, 1e9, 'bob'), bob];
  const scheduler = new Scheduler(stepper(1));
  for (let step = 0; step < 1000; step++) scheduler.next(others);
  const batches = Array.from({ length: 20 }, () => scheduler.next([bob, alice]));
  expect(batches.filter((batch) => batch.includes(alice)).length).toBe(10);
});
