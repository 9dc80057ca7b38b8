/** When audits run, and what they hold. */
import { Tensor } from 'onnxruntime-node';
import type { GraphSession } from '../graphs/graph-session';
import type { AuditFrame } from '../frames/types';
import type { BoundGraph } from '../graphs/bound';
import type { JointRun } from '../graphs/joint-run';
import { makeModel } from '../graphs/model.fixture';
import { onnxModel } from '@cabstand/testing';
import type { Stepper } from '../runtime/sequence';
import { Auditor } from './audit';
import type { AuditOptions } from './audit';
import { ROWS, node, rowGraph } from './verify.fixture';

let graph: BoundGraph;
let session: GraphSession;
beforeAll(async () => {
  const { model, sessions } = await makeModel(
    onnxModel(rowGraph([node('Identity', ['x'], ['y'])])),
    ROWS,
  );
  [graph] = model.graphs as [BoundGraph];
  // The row axis as it would be found.
  graph = { ...graph, outputs: graph.outputs.map((output) => ({ ...output, batchAxis: 0 })) };
  [session] = sessions as [GraphSession];
});

const tensor = (...values: number[]): Tensor =>
  new Tensor('float32', Float32Array.from(values), [values.length / 2, 2]);

/** Two callers, of one row and of two; `off` is what the second row of the second got too much. */
const joint = (off = 0): JointRun => ({
  ...{ graph, session, feeds: { x: tensor(1, 2, 3, 4, 5, 6) } },
  results: { y: tensor(1, 2, 3, 4, 5, 6 + off) },
  callers: [
    { from: 0, count: 1 },
    { from: 1, count: 2 },
  ],
});

interface Bench {
  readonly auditor: Auditor;
  readonly stepper: Stepper;
  readonly found: AuditFrame[];
}

function bench(options: Partial<AuditOptions> = {}): Bench {
  const stepper = { maxBatch: 16, tap: undefined } as unknown as Stepper;
  const found: AuditFrame[] = [];
  const auditor = new Auditor(stepper, {
    ...{ batchClass: 'exact', limits: { atol: 1e-4, rtol: 1e-4 }, share: 1 },
    onDifference: (finding) => found.push(finding),
    // The last caller of each run.
    random: () => 0.999,
    ...options,
  });
  return { auditor, stepper, found };
}

test('rows of one caller are run again alone: equal ones pass', async () => {
  const { auditor, stepper, found } = bench();
  stepper.tap?.(joint());
  expect(auditor.due(1)).toBe(true);
  await auditor.run();
  expect(auditor.passed).toBe(1);
  expect(found).toEqual([]);
  expect(stepper.maxBatch).toBe(16);
  expect(auditor.due(1)).toBe(false);
});

test('other ones end batching and auditing at once, with place and figures', async () => {
  const { auditor, stepper, found } = bench();
  stepper.tap?.(joint(0.5));
  stepper.tap?.(joint(0.5));
  await auditor.run();
  expect(found).toMatchObject([{ output: 'y[1, 1]', got: '6.5', expected: '6', error: 0.5 / 6 }]);
  expect(stepper).toMatchObject({ maxBatch: 1, tap: undefined });
  expect(auditor.due(1)).toBe(false);
});

test.each([
  ['exact', 1e-5, 1],
  ['tolerance', 1e-5, 0],
  ['tolerance', 1, 1],
] as const)(
  'of a model that is %s, %d too much is found %d times',
  async (batchClass, off, times) => {
    const { auditor, stepper, found } = bench({ batchClass });
    stepper.tap?.(joint(off));
    await auditor.run();
    expect(found).toHaveLength(times);
  },
);

test('the same rows have the same digest, others another', async () => {
  const digest = async (run: JointRun): Promise<string | undefined> => {
    const { auditor, stepper, found } = bench();
    stepper.tap?.(run);
    await auditor.run();
    return found[0]?.inputsDigest;
  };
  const other = { ...joint(1), feeds: { x: tensor(1, 2, 3, 4, 5, 7) } };
  expect(await digest(joint(1))).toBe(await digest(joint(2)));
  expect(await digest(joint(1))).not.toBe(await digest(other));
});

test('what is kept is a copy, and bounded', async () => {
  const { auditor, stepper, found } = bench();
  const run = joint();
  for (let index = 0; index < 100; index += 1) stepper.tap?.(run);
  (run.results['y']?.data as Float32Array).fill(99);
  (run.feeds['x']?.data as Float32Array).fill(-99);
  let audits = 0;
  for (; auditor.due(Infinity); audits += 1) await auditor.run();
  expect(audits).toBe(4);
  expect(found).toEqual([]);
});

test('audits take no more than their share of the busy time', async () => {
  const { auditor, stepper } = bench({ share: 0.01, random: () => 0 });
  expect(auditor.due(100)).toBe(false);
  for (let index = 0; index < 3; index += 1) stepper.tap?.(joint());
  expect(auditor.due(0)).toBe(true);
  await auditor.run();
  expect(auditor.seconds).toBeGreaterThan(0);
  expect(auditor.due(auditor.seconds * 99)).toBe(false);
  expect(auditor.due(auditor.seconds * 101)).toBe(true);
});

test.each([
  ['is off', { share: 0 }],
  ['has nothing to look at', { batchClass: 'unbatched' as const }],
])('an audit that %s taps nothing', (_, options) => {
  expect(bench(options).stepper.tap).toBeUndefined();
});
