/** What sequences that share a step see of each other: nothing, also where the run fails. */
import { onnxModel } from '@cabstand/testing';
import { tensorOf } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';
import type { JointRun } from '../graphs/joint-run';
import { Scheduler } from '../runtime/scheduler';
import { Bench } from './recurrent.fixture';

/** `index` picks of a table of ten; a window keeps the last three picks. Another index fails the run. */
const PICKS: [Buffer, string] = [
  onnxModel({
    inputs: [
      { name: 'index', dtype: 'int64', dims: ['batch', 'k'] },
      { name: 'before', dtype: 'float32', dims: ['batch', 3] },
    ],
    outputs: [
      { name: 'picked', dtype: 'float32', dims: ['batch', 'k'] },
      { name: 'sum', dtype: 'float32', dims: ['batch'] },
    ],
    nodes: [
      { op: 'Gather', inputs: ['table', 'index'], outputs: ['picked'] },
      {
        op: 'ReduceSum',
        inputs: ['before', 'axes'],
        outputs: ['sum'],
        attributes: { keepdims: 0 },
      },
    ],
    initializers: [
      {
        name: 'table',
        dtype: 'float32',
        shape: [10],
        values: Array.from({ length: 10 }, (_, at) => 10 ** (at % 4)),
      },
      { name: 'axes', dtype: 'int64', shape: [1], values: [1] },
    ],
  }),
  `
graphs:
  pick:
    file: m.onnx
    inputs:
      index: { from: input, input: index, batch_axis: 0 }
      before: { from: state, state: last, batch_axis: 0 }
    outputs:
      picked: { emit: picked, state: last, batch_axis: 0 }
      sum: { emit: sum, batch_axis: 0 }
state: { last: { initial: 7, shape: [1, 3], window: { axis: 1 } } }
inputs: { index: { dtype: int64, shape: [k] } }
`,
];

const index = (...values: number[]): Tensor =>
  tensorOf('index', BigInt64Array.from(values, BigInt));

describe.each(['auto', 'io-binding'] as const)('called by %s', (runtime) => {
  test('a window takes as many items as were written, alone or together, and gives them to the next step', async () => {
    const bench = await Bench.of(...PICKS, { runtime });
    const [a, b] = [bench.open(), bench.open()];
    expect(await bench.step(bench.begin(a, 0, index(0, 1)))).toEqual([
      { picked: { shape: [1, 2], values: [1, 10] }, sum: { shape: [1], values: [21] } },
    ]);
    // Windows [7, 1, 10] and [7, 7, 7].
    const together = await bench.step(bench.begin(a, 1, index(2)), bench.begin(b, 0, index(3)));
    expect(together).toEqual([
      { picked: { shape: [1, 1], values: [100] }, sum: { shape: [1], values: [18] } },
      { picked: { shape: [1, 1], values: [1000] }, sum: { shape: [1], values: [21] } },
    ]);
    // More than the window holds: [1, 10, 100] goes, the newest three of four stay.
    expect(await bench.step(bench.begin(a, 2, index(0, 1, 2, 3)))).toMatchObject([
      { sum: { values: [111] } },
    ]);
    expect(await bench.step(bench.begin(a, 3, index(0)))).toMatchObject([
      { sum: { values: [1110] } },
    ]);
  });

  test('the row that a run fails for ends alone, with the window that it had; the split is counted', async () => {
    const bench = await Bench.of(...PICKS, { runtime });
    const runs: unknown[] = [];
    bench.stepper.tap = (run) => runs.push(run);
    const [a, b] = [bench.open(), bench.open()];
    await bench.step(bench.begin(a, 0, index(1)), bench.begin(b, 0, index(2)));
    expect(runs).toHaveLength(1);
    expect(bench.stepper.splits).toBe(0);
    const [good, bad] = await bench.step(bench.begin(a, 1, index(1)), bench.begin(b, 1, index(77)));
    expect(good).toMatchObject({ sum: { values: [24] } });
    expect(bad).toBe('INVALID_ARGUMENT');
    expect(bench.stepper.splits).toBe(1);
    // The run that failed was no joint run, nor was either row's own.
    expect(runs).toHaveLength(1);
    expect(await bench.step(bench.begin(b, 2, index(0)))).toMatchObject([
      { sum: { values: [114] } },
    ]);
  });

  test('what is joint is seen before the state moves on: the rows, what was fed and what came out', async () => {
    const bench = await Bench.of(...PICKS, { runtime });
    const [a, b] = [bench.open(), bench.open()];
    const seen: unknown[] = [];
    bench.stepper.tap = ({ callers, feeds, results, graph }: JointRun) =>
      seen.push({
        callers,
        graph: graph.spec.name,
        before: Array.from(feeds['before']?.data as Float32Array),
        picked: Array.from(results['picked']?.data as Float32Array),
      });
    await bench.step(bench.begin(a, 0, index(1)), bench.begin(b, 0, index(2)));
    await bench.step(bench.begin(a, 1, index(3)), bench.begin(b, 1, index(0)));
    const callers = [
      { from: 0, count: 1 },
      { from: 1, count: 1 },
    ];
    expect(seen).toEqual([
      { callers, graph: 'pick', before: [7, 7, 7, 7, 7, 7], picked: [10, 100] },
      { callers, graph: 'pick', before: [7, 7, 10, 7, 7, 100], picked: [1000, 1] },
    ]);
  });

  test('the most rows of a run can be changed while it serves', async () => {
    const bench = await Bench.of(...PICKS, { runtime });
    const scheduler = new Scheduler(bench.stepper);
    const ready = [1, 2, 3].map(() => bench.begin(bench.open(), 0, index(0)));
    expect(scheduler.next(ready)).toHaveLength(3);
    bench.stepper.maxBatch = 1;
    expect(scheduler.next(ready)).toHaveLength(1);
  });
});
