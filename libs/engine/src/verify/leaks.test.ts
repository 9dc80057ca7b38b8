/** What rows do to each other in models that are made here, as loading measures it. */
import type { OnnxModel } from '@cabstand/testing';
import {
  DOUBLE,
  GOLDEN,
  MadeModel,
  ROWS,
  doubled,
  floats,
  node,
  rowGraph,
  scalar,
  turnOf,
} from './verify.fixture';

jest.setTimeout(60_000);

test('rows that do not touch one another are exact', async () => {
  using made = new MadeModel(DOUBLE, `${ROWS}${GOLDEN}`);
  await made.golden(doubled);
  const { loaded } = await made.load();
  expect(loaded).toMatchObject({
    ...{ batchClass: 'exact', maxBatch: 16, reference: 'golden', unbatchedBecause: '', notes: [] },
    goldenError: 0,
  });
});

test('a leak among valid ids is found, though any other number makes the run fail', async () => {
  // Sums over the rows above it of a table's entries at x - 1000.
  const table = Array.from({ length: 10 }, (_, index) => index * index);
  const nodes = [
    node('Sub', ['x', 'base'], ['shifted']),
    node('Cast', ['shifted'], ['ids'], { to: 7 }),
    node('Gather', ['table', 'ids'], ['entries']),
    node('CumSum', ['entries', 'axis'], ['y']),
  ];
  using made = new MadeModel(
    rowGraph(nodes, [
      scalar('base', 1000),
      { name: 'table', dtype: 'float32', shape: [10], values: table },
      { name: 'axis', dtype: 'int64', shape: [], values: [0n] },
    ]),
    `${ROWS}${GOLDEN}`,
  );
  const entry = (id: number): number => table[id] ?? NaN;
  await made.golden(
    table.map((_, id) => {
      const other = (id * 7) % 10;
      const y = floats('y', [entry(id), entry(other)], [1, 2]);
      return [turnOf(floats('x', [1000 + id, 1000 + other], [1, 2]), y)];
    }),
  );
  const { loaded } = await made.load();
  expect(loaded).toMatchObject({ batchClass: 'unbatched', maxBatch: 1 });
  expect(loaded.unbatchedBecause).toMatch(/depends on its neighbours: output y/);
});

test('a joint run that fails for no row alone makes the model unbatched, with ONNX Runtime’s words', async () => {
  // Takes the number of rows as an index into four entries.
  const nodes = [
    node('Shape', ['x'], ['rows'], { start: 0, end: 1 }),
    node('Gather', ['table', 'rows'], ['zero']),
    node('Add', ['x', 'zero'], ['y']),
  ];
  using made = new MadeModel(
    rowGraph(nodes, [{ name: 'table', dtype: 'float32', shape: [4], values: [0, 0, 0, 0] }]),
    `${ROWS}${GOLDEN}`,
  );
  await made.golden(
    doubled.map(([turn]) => {
      const x = turn?.inputs[0];
      return [turnOf(x!, { ...x!, name: 'y' })];
    }),
  );
  const { loaded } = await made.load();
  expect(loaded).toMatchObject({ batchClass: 'unbatched', maxBatch: 1 });
  expect(loaded.unbatchedBecause).toMatch(/a run of 4 rows failed .*indices element out of/);
  expect(loaded.notes.join()).toMatch(/trial runs were refused/);
});

test('rows that share a scale by quantisation are unbatched, and golden rows run as they were sent', async () => {
  const nodes = [
    node('DynamicQuantizeLinear', ['x'], ['q', 'scale', 'zero']),
    node('DequantizeLinear', ['q', 'scale', 'zero'], ['y']),
  ];
  using made = new MadeModel(rowGraph(nodes), ROWS);
  const { loaded } = await made.load();
  expect(loaded).toMatchObject({ batchClass: 'unbatched', reference: 'self' });
  expect(loaded.unbatchedBecause).toMatch(/depends on its neighbours/);
});

/** Counts on; a small share of the mean of all tokens of the run is added to each row's scores, where `leak` says so. */
const counting = (leak: number): OnnxModel => ({
  inputs: [{ name: 'token', dtype: 'int64', dims: ['n', 1] }],
  outputs: [{ name: 'scores', dtype: 'float32', dims: ['n', 1, 4] }],
  nodes: [
    node('Gather', ['table', 'token'], ['plain']),
    node('Cast', ['token'], ['number'], { to: 1 }),
    node('ReduceMean', ['number'], ['mean'], { keepdims: 0 }),
    node('Mul', ['mean', 'share'], ['little']),
    node('Add', ['plain', 'little'], ['scores']),
  ],
  initializers: [
    // Token n is followed by n + 1, by far.
    ...[{ name: 'table', dtype: 'float32' as const, shape: [4, 4] }].map((table) => ({
      ...table,
      values: Array.from({ length: 16 }, (_, at) => (((at >> 2) + 1) % 4 === at % 4 ? 9 : 0)),
    })),
    scalar('share', leak),
  ],
});

const COUNTING = `
kind: generator
graphs:
  step:
    file: m.onnx
    run: per-step
    inputs: { token: { from: token, batch_axis: 0 } }
    outputs: { scores: { logits: true, batch_axis: 0 } }
generation: { start: 0, max_tokens: 12 }
`;

test.each([
  [0, 'exact'],
  [1e-2, 'unbatched'],
] as const)(
  'scores that depend on the neighbours by %d make %s, though no token changes',
  async (leak, batchClass) => {
    using made = new MadeModel(counting(leak), COUNTING);
    const { loaded } = await made.load();
    expect(loaded).toMatchObject({ batchClass, reference: 'self' });
    if (leak > 0) expect(loaded.unbatchedBecause).toMatch(/output scores/);
  },
);

test('a state that its neighbours reach is found, though no record shows it within the trial', async () => {
  // `y` is a constant, and the state takes in the mean of all rows.
  const graph: OnnxModel = {
    inputs: ['x', 'a'].map((name) => ({ name, dtype: 'float32', dims: ['n', 1] })),
    outputs: ['y', 'a2'].map((name) => ({ name, dtype: 'float32', dims: ['n', 1] })),
    nodes: [
      node('ReduceMean', ['x'], ['mean'], { axes: [0], keepdims: 1 }),
      node('Add', ['a', 'mean'], ['a2']),
      node('Mul', ['x', 'zero'], ['y']),
    ],
    initializers: [scalar('zero', 0)],
  };
  using made = new MadeModel(
    graph,
    `
kind: stateful
graphs:
  step:
    file: m.onnx
    run: per-step
    inputs:
      x: { from: frame, batch_axis: 0 }
      a: { from: state, state: a, batch_axis: 0 }
    outputs:
      y: { emit: y, batch_axis: 0 }
      a2: { state: a, batch_axis: 0 }
state: { a: {} }
inputs: { x: { dtype: float32, shape: [samples] } }
framing: { input: x, frame: 1 }
`,
  );
  const { loaded } = await made.load();
  expect(loaded).toMatchObject({ batchClass: 'unbatched' });
  expect(loaded.unbatchedBecause).toMatch(/output a2/);
});
