import { onnxModel } from '@cabstand/testing';
import type { OnnxNode, OnnxValue } from '@cabstand/testing';
import { tensorOf } from '@cabstand/tensor';
import { makeModel } from './model.fixture';
import { findRowAxes, rowAxesOf, withRowAxes } from './row-axes';
import type { SampleTurn } from './sample-feeds';

const MANIFEST = `
graphs:
  main:
    file: m.onnx
    inputs: { x: { from: input, input: x, batch_axis: 0 } }
    outputs: { y: { emit: y } }
inputs: { x: { dtype: float32, shape: [n, 4] } }
`;

const turn = (...values: number[]): SampleTurn => ({
  prompt: '',
  parameters: {},
  inputs: [tensorOf('x', Float32Array.from(values), [values.length / 4, 4])],
});

/** What is found for `y` computed from `x` [n, 4]. */
async function axisOf(
  nodes: readonly OnnxNode[],
  y: Partial<OnnxValue> = {},
  turns: readonly SampleTurn[] = [turn(1, 2, 3, 4)],
): Promise<number | null | string> {
  const bytes = onnxModel({
    inputs: [{ name: 'x', dtype: 'float32', dims: ['n', 4] }],
    outputs: [{ name: 'y', dtype: 'float32', ...y }],
    nodes,
    initializers: [
      { name: 'first', dtype: 'int64', shape: [1], values: [0n] },
      { name: 'flat', dtype: 'int64', shape: [1], values: [-1n] },
      { name: 'pairs', dtype: 'int64', shape: [2], values: [-1n, 2n] },
    ],
  });
  const { model, sessions } = await makeModel(bytes, MANIFEST);
  const found = await findRowAxes(model, sessions, turns);
  expect(found.batchable).toBe(found.unbatchedBecause === '');
  return found.batchable
    ? (found.graphs[0]?.outputs[0]?.batchAxis ?? null)
    : found.unbatchedBecause;
}

const node = (op: string, inputs: string[], attributes = {}, outputs = ['y']): OnnxNode => ({
  op,
  inputs,
  outputs,
  attributes,
});

test.each<[string, OnnxNode[], Partial<OnnxValue>, number]>([
  ['in front', [node('Relu', ['x'])], {}, 0],
  ['behind', [node('Transpose', ['x'], { perm: [1, 0] })], {}, 1],
  ['alone', [node('ReduceMean', ['x'], { axes: [1], keepdims: 0 })], {}, 0],
])('rows that are %s are found', async (_, nodes, y, axis) => {
  expect(await axisOf(nodes, y)).toBe(axis);
});

test.each<[string, OnnxNode[], Partial<OnnxValue>]>([
  ['a sum over all rows', [node('ReduceSum', ['x'], { keepdims: 0 })], {}],
  [
    'rows against rows',
    [node('Transpose', ['x'], { perm: [1, 0] }, ['t']), node('MatMul', ['x', 't'])],
    {},
  ],
  ['two of each row', [node('Reshape', ['x', 'pairs'])], {}],
  ['rows and columns in one', [node('Reshape', ['x', 'flat'])], {}],
  ['what is not zero', [node('NonZero', ['x'])], { dtype: 'int64' }],
])('%s follows no rows', async (_, nodes, y) => {
  expect(await axisOf(nodes, y)).toMatch(/^output y of graph main does not follow the rows: .*\[/);
});

test('a graph that takes one row only says so', async () => {
  const nodes = [node('Squeeze', ['x', 'first'])];
  expect(await axisOf(nodes)).toMatch(/^graph main does not take 2 rows: /);
});

test('input that a graph refuses is passed over; without any other there is nothing to find by', async () => {
  const nodes = [
    node('Cast', ['x'], { to: 7 }, ['ids']),
    node('Gather', ['first', 'ids'], {}, ['found']),
    node('Cast', ['found'], { to: 1 }),
  ];
  expect(await axisOf(nodes, {}, [turn(9, 9, 9, 9), turn(0, 0, 0, 0)])).toBe(0);
  expect(await axisOf(nodes, {}, [turn(9, 9, 9, 9)])).toMatch(
    /^graph main refuses one row: .*bounds/,
  );
});

test('what was found once is taken again, unless it is of another model', async () => {
  const bytes = onnxModel({
    inputs: [{ name: 'x', dtype: 'float32', dims: ['n', 4] }],
    outputs: [{ name: 'y', dtype: 'float32' }],
    nodes: [node('Transpose', ['x'], { perm: [1, 0] })],
  });
  const { model, sessions } = await makeModel(bytes, MANIFEST);
  const found = await findRowAxes(model, sessions, [turn(1, 2, 3, 4)]);
  expect(rowAxesOf(found)).toEqual([[1]]);
  expect(withRowAxes(model, [[1]])).toEqual(found);
  for (const other of [[], [[]], [[null]], [[1, 0]], [[1], [1]]])
    expect(withRowAxes(model, other)).toBeUndefined();
});
