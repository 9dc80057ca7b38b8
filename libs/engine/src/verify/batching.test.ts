import { measureBatching } from './batching';
import { SAME } from './golden';
import type { Neighbour } from './neighbours';
import type { Trial, TrialPlan } from './trials';

const RAN: Trial = { kind: 'ran', difference: SAME };
const VOID: Trial = { kind: 'void', why: 'ids out of range' };
const off = (ratio: number): Trial => ({
  kind: 'ran',
  difference: { ...SAME, equal: false, ratio, where: 'output y[0]', got: '2', expected: '1' },
});

/** What is measured where trials show this, and what was tried. */
async function measure(show: (plan: TrialPlan) => Trial, maxBatch = 16, seconds = Infinity) {
  const tried: TrialPlan[] = [];
  let left = seconds;
  const measured = await measureBatching(
    {
      run: (plan) => {
        tried.push(plan);
        left -= 1;
        return Promise.resolve(show(plan));
      },
    },
    { maxBatch, stepSeconds: 0.001, left: () => left, progress: () => undefined },
  );
  return { measured, tried };
}

test('every size is tried, with valid neighbours first, and each kind at each thorough size or the next', async () => {
  const { measured, tried } = await measure(() => RAN);
  expect(measured).toEqual({ batchClass: 'exact', maxBatch: 16, because: '', complete: true });
  expect(new Set(tried.map(({ size }) => size)).size).toBe(15);
  for (const size of [2, 3, 8, 16]) {
    const of = tried.filter((plan) => plan.size === size);
    expect(of.map(({ neighbours }) => neighbours).slice(0, 2)).toEqual(['given', 'perturbed']);
    expect(of.map(({ position }) => position).sort()).toEqual([0, 0.5, 1]);
  }
  const kinds = new Set<Neighbour>(tried.map(({ neighbours }) => neighbours));
  expect([...kinds].sort()).toEqual(['given', 'large', 'noise', 'perturbed', 'zeros']);
});

test('a difference within the tolerance makes tolerance, and one beyond it unbatched', async () => {
  const near = await measure(({ size }) => (size === 5 ? off(0.5) : RAN));
  expect(near.measured).toMatchObject({ batchClass: 'tolerance', maxBatch: 16 });
  const far = await measure(({ size }) => (size === 5 ? off(1.5) : RAN));
  expect(far.measured).toMatchObject({
    ...{ batchClass: 'unbatched', maxBatch: 1 },
    because: expect.stringMatching(/output y\[0\] is 2 among 5 rows \(\w+\) and 1 alone/) as string,
  });
});

test('a joint run that fails for nobody alone makes unbatched', async () => {
  const { measured } = await measure(({ size }) =>
    size === 4 ? { kind: 'refused', why: 'Reshape' } : RAN,
  );
  expect(measured).toMatchObject({
    batchClass: 'unbatched',
    because: expect.stringMatching(/Reshape/) as string,
  });
});

test('neighbours that the model refuses do not count, and others are tried', async () => {
  const { measured, tried } = await measure(({ neighbours }) =>
    neighbours === 'zeros' ? RAN : VOID,
  );
  expect(measured).toMatchObject({ batchClass: 'exact', maxBatch: 16 });
  // What was refused again and again is not tried for ever.
  expect(tried.filter(({ neighbours }) => neighbours === 'noise').length).toBeLessThanOrEqual(3);
});

test('if no neighbour is valid the model is unbatched, and says what it said', async () => {
  const { measured } = await measure(() => VOID);
  expect(measured).toMatchObject({
    ...{ batchClass: 'unbatched', maxBatch: 1 },
    because: 'no run of several rows could be tried: ids out of range',
  });
});

test('sizes that there was no time for are not run', async () => {
  expect((await measure(() => RAN, 16, 8)).measured).toMatchObject({
    ...{ batchClass: 'exact', maxBatch: 5, complete: false },
  });
  expect((await measure(() => RAN, 16, 0)).measured).toMatchObject({
    ...{ batchClass: 'unbatched', maxBatch: 1, complete: false },
    because: 'a row takes 0.0010 s: no time was left to run several together',
  });
});
