/** What models with state take and give, whatever the shapes. */
import { onnxModel } from '@cabstand/testing';
import { DTYPES, tensorOf } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';
import { Bench } from './recurrent.fixture';

/** Outputs of all sorts of shapes of one input `x` that has no rows. */
const SHAPES: [Buffer, string] = [
  onnxModel({
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
  }),
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
const AXES: [Buffer, string] = [
  onnxModel({
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
  }),
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

/** Scores that are the state, too: each step adds the row of the token before. */
const SPEAKER: [Buffer, string] = [
  onnxModel({
    inputs: [
      { name: 'token', dtype: 'int64', dims: ['batch'] },
      { name: 'before', dtype: 'float32', dims: ['batch', 3] },
    ],
    outputs: [{ name: 'scores', dtype: 'float32', dims: ['batch', 3] }],
    nodes: [
      { op: 'Gather', inputs: ['table', 'token'], outputs: ['row'] },
      { op: 'Add', inputs: ['row', 'before'], outputs: ['scores'] },
    ],
    initializers: [
      { name: 'table', dtype: 'float32', shape: [3, 3], values: [0, 3, 0, 0, 0, 5, 9, 0, 0] },
    ],
  }),
  `
kind: generator
graphs:
  speak:
    file: m.onnx
    inputs:
      token: { from: token, batch_axis: 0 }
      before: { from: state, state: scores, batch_axis: 0 }
    outputs: { scores: { logits: true, state: scores, batch_axis: 0 } }
state: { scores: { initial: 0 } }
inputs: {}
generation: { start: 0 }
`,
];

test('scores of a generator may be its state at once', async () => {
  const bench = await Bench.of(...SPEAKER);
  const [a, b] = [bench.begin(bench.open(), 0), bench.begin(bench.open(), 0)];
  // Scores [0, 3, 0], [0, 3, 5], [9, 3, 5] choose 1, 2, 0; and [9, 6, 5] chooses 0 again.
  const tokens: unknown[] = [];
  for (const batch of [[a], [a, b], [b, a], [a]]) tokens.push(await bench.step(...batch));
  const token = (id: bigint): unknown => ({ token: { shape: [1], values: [id] } });
  expect(tokens).toEqual([
    [token(1n)],
    [token(2n), token(1n)],
    [token(2n), token(0n)],
    [token(0n)],
  ]);
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
