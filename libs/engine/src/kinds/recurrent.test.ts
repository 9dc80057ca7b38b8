import { onnxModel } from '@cabstand/testing';
import type { OnnxModel } from '@cabstand/testing';
import { DTYPES, arrayOf, tensorOf } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';
import { decodeFrame } from '../frames/codec';
import { PREFIX } from '../frames/layout';
import type { JointRun } from '../graphs/joint-run';
import { makeModel } from '../graphs/model.fixture';
import { StepWriter } from '../output/step-writer';
import { Scheduler } from '../runtime/scheduler';
import type { RecurrentSequence } from '../turns/recurrent-sequence';
import { decodeChunk } from '../verify/decode-chunk';
import { RecurrentStepper } from './recurrent';

type Outputs = Record<string, { shape: readonly number[]; values: unknown[] }>;

class Bench {
  readonly stepper: RecurrentStepper;
  #next = 0;

  private constructor(stepper: RecurrentStepper) {
    this.stepper = stepper;
  }

  static async of(graph: OnnxModel, manifest: string): Promise<Bench> {
    const { model, sessions } = await makeModel(onnxModel(graph), manifest);
    return new Bench(new RecurrentStepper(model, sessions, 16));
  }

  open(): RecurrentSequence {
    const sequence = this.stepper.open(this.#next++, 0);
    sequence.records = Infinity;
    sequence.bytes = Infinity;
    return sequence;
  }

  begin(sequence: RecurrentSequence, turn: number, ...inputs: Tensor[]): RecurrentSequence {
    this.stepper.begin(sequence, {
      ...{ type: 'TURN', sequence: sequence.id, turn, prompt: '', parameters: {} },
      ...{ inputs, live: false },
    });
    return sequence;
  }

  /** One step with all of them; answers each one's outputs by name, or its error. */
  async step(...batch: RecurrentSequence[]): Promise<(Outputs | string)[]> {
    const out = new StepWriter();
    await this.stepper.step(batch, out);
    const bytes = out.take(batch.length, 0);
    const frame = decodeFrame(bytes[PREFIX - 1] ?? 0, bytes.subarray(PREFIX));
    if (frame.type !== 'STEP') throw new Error(`not a step: ${frame.type}`);
    return batch.map(({ id }) => {
      const items = frame.items.filter((item) => item.sequence === id);
      const end = items.find((item) => item.kind === 'end');
      if (end?.end.reason === 'error') return end.end.error.reason;
      const chunk = items.find((item) => item.kind === 'chunk');
      if (chunk === undefined) throw new Error('no chunk');
      return Object.fromEntries(
        decodeChunk(chunk.chunk).outputs.map((tensor) => [
          tensor.name,
          { shape: tensor.shape, values: tensor.strings?.slice() ?? [...arrayOf(tensor)] },
        ]),
      );
    });
  }
}

/** `index` picks of a table of ten; a window keeps the last three picks. Another index fails the run. */
const PICKS: [OnnxModel, string] = [
  {
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
  },
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

test('a window takes as many items as were written, alone or together, and gives them to the next step', async () => {
  const bench = await Bench.of(...PICKS);
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
  const bench = await Bench.of(...PICKS);
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
  expect(await bench.step(bench.begin(b, 2, index(0)))).toMatchObject([{ sum: { values: [114] } }]);
});

test('what is joint is seen before the state moves on: the rows, what was fed and what came out', async () => {
  const bench = await Bench.of(...PICKS);
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
  const bench = await Bench.of(...PICKS);
  const scheduler = new Scheduler(bench.stepper);
  const ready = [1, 2, 3].map(() => bench.begin(bench.open(), 0, index(0)));
  expect(scheduler.next(ready)).toHaveLength(3);
  bench.stepper.maxBatch = 1;
  expect(scheduler.next(ready)).toHaveLength(1);
});

/** Outputs of all sorts of shapes of one input `x` that has no rows. */
const SHAPES: [OnnxModel, string] = [
  {
    inputs: [{ name: 'x', dtype: 'float32', dims: ['n', 2] }],
    outputs: [
      { name: 'where', dtype: 'int64', dims: [2, 'found'] },
      { name: 'sum', dtype: 'float32', dims: [] },
      { name: 'same', dtype: 'float32' },
      { name: 'turned', dtype: 'float32', dims: [2, 'n'] },
    ],
    nodes: [
      { op: 'NonZero', inputs: ['x'], outputs: ['where'] },
      { op: 'ReduceSum', inputs: ['x'], outputs: ['sum'], attributes: { keepdims: 0 } },
      { op: 'Identity', inputs: ['x'], outputs: ['same'] },
      { op: 'Transpose', inputs: ['x'], outputs: ['turned'], attributes: { perm: [1, 0] } },
    ],
  },
  `
kind: stateful
graphs:
  look:
    file: m.onnx
    inputs: { x: { from: input, input: x } }
    outputs:
      where: { emit: where }
      sum: { emit: sum }
      same: { emit: same }
      turned: { emit: turned }
inputs: { x: { dtype: float32, shape: [n, 2] } }
`,
];

test('outputs without rows are given as the graph gave them: of no dimension, of no element, of any length', async () => {
  const bench = await Bench.of(...SHAPES);
  const x = (...values: number[]): Tensor =>
    tensorOf('x', Float32Array.from(values), [values.length / 2, 2]);
  const sequence = bench.open();
  expect(await bench.step(bench.begin(sequence, 0, x(0, 0, 0, 0)))).toEqual([
    {
      where: { shape: [2, 0], values: [] },
      sum: { shape: [], values: [0] },
      same: { shape: [2, 2], values: [0, 0, 0, 0] },
      turned: { shape: [2, 2], values: [0, 0, 0, 0] },
    },
  ]);
  expect(await bench.step(bench.begin(sequence, 1, x(0, 1, 2, 3, 4, 5)))).toMatchObject([
    { where: { shape: [2, 5] }, sum: { values: [15] }, turned: { values: [0, 2, 4, 1, 3, 5] } },
  ]);
});

/** `turned` has its rows behind; `all` says that it has rows in front, and has but one. */
const AXES: [OnnxModel, string] = [
  {
    inputs: [{ name: 'x', dtype: 'float32', dims: ['batch', 3] }],
    outputs: [
      { name: 'turned', dtype: 'float32', dims: [3, 'batch'] },
      { name: 'all', dtype: 'float32', dims: ['one', 3] },
    ],
    nodes: [
      { op: 'Transpose', inputs: ['x'], outputs: ['turned'], attributes: { perm: [1, 0] } },
      { op: 'ReduceSum', inputs: ['x', 'axes'], outputs: ['all'] },
    ],
    initializers: [{ name: 'axes', dtype: 'int64', shape: [1], values: [0] }],
  },
  `
kind: stateful
graphs:
  turn:
    file: m.onnx
    inputs: { x: { from: input, input: x, batch_axis: 0 } }
    outputs:
      turned: { emit: turned, batch_axis: 1 }
      OTHER
inputs: { x: { dtype: float32, shape: [3] } }
`,
];

test('rows may be at any axis of an output', async () => {
  const [graph, manifest] = AXES;
  const bench = await Bench.of(graph, manifest.replace('OTHER', ''));
  const x = (...values: number[]): Tensor => tensorOf('x', Float32Array.from(values));
  const batch = [1, 4, 7].map((one) => bench.begin(bench.open(), 0, x(one, one + 1, one + 2)));
  expect(await bench.step(...batch)).toEqual(
    [1, 4, 7].map((one) => ({ turned: { shape: [3, 1], values: [one, one + 1, one + 2] } })),
  );
  expect(bench.stepper.splits).toBe(0);
});

test('an output that lacks rows of a joint run is never shared out: each row runs alone', async () => {
  const [graph, manifest] = AXES;
  const bench = await Bench.of(
    graph,
    manifest.replace('OTHER', 'all: { emit: all, batch_axis: 0 }'),
  );
  const x = (value: number): Tensor => tensorOf('x', new Float32Array(3).fill(value));
  const batch = [1, 4].map((one) => bench.begin(bench.open(), 0, x(one)));
  expect(await bench.step(...batch)).toMatchObject([
    { all: { shape: [1, 3], values: [1, 1, 1] } },
    { all: { shape: [1, 3], values: [4, 4, 4] } },
  ]);
  expect(bench.stepper.splits).toBe(1);
});

test.each([
  ['is missing', [], 'INPUT_MISSING'],
  ['is of another name', [tensorOf('y', new Float32Array(3))], 'INPUT_UNKNOWN'],
  ['is of another dtype', [tensorOf('x', new Float64Array(3))], 'INPUT_DTYPE'],
  ['is of another rank', [tensorOf('x', new Float32Array(3), [1, 3])], 'INPUT_RANK'],
  ['is longer than its row', [tensorOf('x', new Float32Array(6))], 'INPUT_SHAPE'],
  [
    'lacks bytes',
    [{ ...tensorOf('x', new Float32Array(3)), data: new Uint8Array(DTYPES.float32.bytes) }],
    'INPUT_BYTES',
  ],
])('a tensor that %s never gets into the rows of a run', async (_, inputs, reason) => {
  const [graph, manifest] = AXES;
  const bench = await Bench.of(graph, manifest.replace('OTHER', ''));
  expect(() => bench.begin(bench.open(), 0, ...inputs)).toThrow(
    expect.objectContaining({ reason }) as Error,
  );
});
