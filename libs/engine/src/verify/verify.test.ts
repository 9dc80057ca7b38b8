/** What models that are made here are checked against, and what of it is kept. */
import { float16Bits, tensorOf } from '@cabstand/tensor';
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

const F16: OnnxModel = {
  inputs: [{ name: 'x', dtype: 'float16', dims: ['n', 2] }],
  outputs: [{ name: 'y', dtype: 'float16', dims: ['n', 2] }],
  nodes: [node('Identity', ['x'], ['y'])],
};
const half = (name: string, values: readonly number[]) =>
  tensorOf(name, Uint16Array.from(values, float16Bits), [1, 2], 'float16');

test.each<[string, number, boolean]>([
  ['an eighth off', 1.125, false],
  ['a thousandth off', 1.001, true],
])('float16 answers that are %s are judged as numbers', async (_, factor, fine) => {
  const manifest = ROWS.replace('float32', 'float16');
  using made = new MadeModel(F16, `${manifest}golden: { file: golden.json, tolerance: 1.0e-2 }\n`);
  await made.golden(
    [1.5, 2.25].map((one) => [turnOf(half('x', [one, -1e-7]), half('y', [one * factor, 1e-7]))]),
  );
  const loading = made.load();
  if (fine) expect((await loading).loaded.reference).toBe('golden');
  else
    await expect(loading).rejects.toMatchObject({
      reason: 'VERIFICATION_FAILED',
      message: expect.stringMatching(/sequence 1, record 0, output y\[0, 0\]/) as string,
    });
});

/** Counts steps in one state and sums them up in the other; `y` is both. */
const TWO_STATES: OnnxModel = {
  inputs: ['x', 'a', 'b'].map((name) => ({ name, dtype: 'float32', dims: ['n', 1] })),
  outputs: ['y', 'a2', 'b2'].map((name) => ({ name, dtype: 'float32', dims: ['n', 1] })),
  nodes: [
    node('Add', ['a', 'x'], ['a2']),
    node('Add', ['b', 'x'], ['b2']),
    node('Mul', ['b2', 'ten'], ['tens']),
    node('Add', ['a2', 'tens'], ['y']),
  ],
  initializers: [scalar('ten', 10)],
};

const twoStates = (a: string, b: string): string => `
kind: stateful
graphs:
  step:
    file: m.onnx
    run: per-step
    inputs:
      x: { from: frame, batch_axis: 0 }
      a: { from: state, state: a, batch_axis: 0 }
      b: { from: state, state: b, batch_axis: 0 }
    outputs:
      y: { emit: y, batch_axis: 0 }
      a2: { state: a, batch_axis: 0 }
      b2: { state: b, batch_axis: 0 }
state:
  a: { scope: ${a} }
  b: { scope: ${b} }
inputs: { x: { dtype: float32, shape: [samples] } }
framing: { input: x, frame: 1 }
${GOLDEN}`;

/** `a` lives on from turn to turn, `b` begins anew. */
function summed(turns: readonly (readonly number[])[]) {
  let a = 0;
  return turns.map((values) => {
    let b = 0;
    const records = values.map((value) => {
      a += value;
      b += value;
      return floats('y', [a + 10 * b], [1, 1]);
    });
    return turnOf(floats('x', values), ...records);
  });
}

const ONE_TURN = [summed([[1, 2, 3, 4]]), summed([[5, -1, 2]])];
const TWO_TURNS = [summed([[1, 2, 3], [4]]), summed([[2], [7, 1, 1]])];

test('states whose scopes are exchanged pass with one turn a sequence, which is noted, and fail with two', async () => {
  using right = new MadeModel(TWO_STATES, twoStates('session', 'turn'));
  await right.golden(TWO_TURNS);
  expect((await right.load()).loaded).toMatchObject({ batchClass: 'exact', notes: [] });

  using wrong = new MadeModel(TWO_STATES, twoStates('turn', 'session'));
  await wrong.golden(ONE_TURN);
  expect((await wrong.load()).loaded.notes).toEqual([expect.stringMatching(/has two turns/)]);
  await wrong.golden(TWO_TURNS);
  await expect(wrong.load()).rejects.toMatchObject({
    reason: 'VERIFICATION_FAILED',
    message: expect.stringMatching(/turn 1, record 0, output y/) as string,
  });
});

test('without golden data the unoptimised graph is the reference, for models with state too', async () => {
  using made = new MadeModel(TWO_STATES, twoStates('session', 'turn').replace(GOLDEN, ''));
  const { loaded } = await made.load();
  expect(loaded).toMatchObject({ reference: 'self', batchClass: 'exact', maxBatch: 16, notes: [] });
});

test('a model that answers the same input differently has no reference, and is unbatched', async () => {
  const nodes = [
    node('RandomUniformLike', ['x'], ['noise'], { dtype: 1 }),
    node('Add', ['x', 'noise'], ['y']),
  ];
  using made = new MadeModel(rowGraph(nodes), ROWS);
  const { loaded } = await made.load();
  expect(loaded).toMatchObject({ reference: 'none', batchClass: 'unbatched' });
  expect(loaded.unbatchedBecause).toMatch(/answers the same input differently/);
});

test('a model that takes no input that can be made has no reference, and says what it takes', async () => {
  const nodes = [
    node('Cast', ['x'], ['ids'], { to: 7 }),
    node('Sub', ['ids', 'far'], ['shifted']),
    node('Gather', ['table', 'shifted'], ['y']),
  ];
  using made = new MadeModel(
    rowGraph(nodes, [
      { name: 'far', dtype: 'int64', shape: [], values: [123_456n] },
      { name: 'table', dtype: 'float32', shape: [2], values: [1, 2] },
    ]),
    ROWS,
  );
  const { loaded } = await made.load();
  expect(loaded).toMatchObject({ reference: 'none', batchClass: 'unbatched' });
  expect(loaded.notes.join()).toMatch(/no valid input could be made .*give golden data/);
});

test('what was measured is kept until anything that it depends on changes', async () => {
  using made = new MadeModel(DOUBLE, `${ROWS}${GOLDEN}`);
  await made.golden(doubled);
  const { cache } = made;
  const first = (await made.load({ cache })).loaded;
  expect(made.stages.some((stage) => stage.startsWith('verifying'))).toBe(true);
  const second = (await made.load({ cache })).loaded;
  expect(made.stages).toEqual(['loading']);
  expect({ ...second, loadSeconds: 0, verifySeconds: 0 }).toEqual({
    ...{ ...first, loadSeconds: 0, verifySeconds: 0 },
  });
  await made.load({ cache, maxBatch: 4 });
  expect(made.stages.length).toBeGreaterThan(1);
  await made.golden(doubled.slice(1));
  await made.load({ cache });
  expect(made.stages.length).toBeGreaterThan(1);
});
