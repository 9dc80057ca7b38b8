/** Rows: of different callers, who must not notice each other, and of one turn, which belong together. */
import { tensorFrom } from '@cabstand/client';
import { float32Of } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/client';
import { plain } from '../support/cases/direct';
import { answersTo, eighths, value, weight } from '../support/cases/kin';
import type { Kin } from '../support/cases/kin';
import { CALLERS, Served, only, outputsOf } from '../support/cases/served';

/** Ids are columns, and what leaks is the largest value of a row of them. Others than 70 … 81 throw. */
const leakInColumns: Kin = {
  name: 'leak-in-columns',
  kind: 'stateless',
  graph: {
    inputs: [value('id', [2, 'n'])],
    outputs: [value('y', [2, 'n'])],
    nodes: [
      { op: 'Sub', inputs: ['id', 'first'], outputs: ['distance'] },
      { op: 'Cast', inputs: ['distance'], outputs: ['place'], attributes: { to: 7 } },
      { op: 'Gather', inputs: ['table', 'place'], outputs: ['own'] },
      { op: 'ReduceMax', inputs: ['own'], outputs: ['most'], attributes: { axes: [1] } },
      { op: 'Add', inputs: ['own', 'most'], outputs: ['y'] },
    ],
    initializers: [weight('first', [], [70]), weight('table', [12], eighths(12))],
  },
  manifest: `
graphs:
  main:
    file: m.onnx
    run: per-step
    inputs: { id: { from: input, input: id, batch_axis: 1 } }
    outputs: { y: { emit: y, batch_axis: 1 } }
inputs: { id: { dtype: float32, shape: [2, n] } }`,
  golden: answersTo(
    Array.from({ length: 32 }, (_, i) => ({ id: ids(i) })),
    ['y'],
  ),
};

function ids(number: number): Tensor {
  return tensorFrom('id', 'float32', [70 + (number % 12), 70 + ((number * 5) % 12)], [2, 1]);
}

/** Looks rows up too, and throws for ids it does not have; but each row is its own. */
const noLeak: Kin = {
  ...leakInColumns,
  name: 'no-leak-in-columns',
  graph: {
    ...leakInColumns.graph,
    nodes: [
      { op: 'Sub', inputs: ['id', 'first'], outputs: ['distance'] },
      { op: 'Cast', inputs: ['distance'], outputs: ['place'], attributes: { to: 7 } },
      { op: 'Gather', inputs: ['table', 'place'], outputs: ['own'] },
      { op: 'ReduceMax', inputs: ['own'], outputs: ['most'], attributes: { axes: [0] } },
      { op: 'Add', inputs: ['own', 'most'], outputs: ['y'] },
    ],
  },
};

/** Quantizes what a first layer makes of its input, with other sizes than the case. */
const quantizedInside: Kin = {
  name: 'quantized-inside',
  kind: 'stateless',
  graph: {
    inputs: [value('x', ['n', 4])],
    outputs: [value('y', ['n', 3])],
    nodes: [
      { op: 'Abs', inputs: ['x'], outputs: ['loudness'] },
      { op: 'DynamicQuantizeLinear', inputs: ['loudness'], outputs: ['q', 'scale', 'zero'] },
      { op: 'MatMulInteger', inputs: ['q', 'w', 'zero'], outputs: ['product'] },
      { op: 'Cast', inputs: ['product'], outputs: ['real'], attributes: { to: 1 } },
      { op: 'Mul', inputs: ['real', 'scale'], outputs: ['y'] },
    ],
    initializers: [
      weight(
        'w',
        [4, 3],
        eighths(12).map((one) => Math.round(one * 20)),
        'int8',
      ),
    ],
  },
  manifest: `
graphs:
  main:
    file: m.onnx
    run: per-step
    inputs: { x: { from: input, input: x, batch_axis: 0 } }
    outputs: { y: { emit: y, batch_axis: 0 } }
inputs: { x: { dtype: float32, shape: [n, 4] } }`,
  golden: answersTo(
    Array.from({ length: 32 }, (_, i) => ({ x: loud(1 + (i % 4), 4, i) })),
    ['y'],
  ),
};

/** Rows of which every second is many times louder, so that quiet ones are coarse beside it. */
function loud(rows: number, width: number, seed: number): Tensor {
  const values = eighths(rows * width, seed + 1).map(
    (one, index) => one * (Math.floor(index / width) % 2 === 1 ? 24 : 0.25),
  );
  return tensorFrom('x', 'float32', values, [rows, width]);
}

let served: Served;

beforeAll(async () => {
  served = await Served.start(
    ['hidden-leak'],
    [leakInColumns, noLeak, quantizedInside],
    ['quant-dyn'],
  );
}, 120_000);

afterAll(() => served[Symbol.asyncDispose]());

/** Two-dimensional rows of several callers as one input, along the axis that holds them. */
function stacked(inputs: readonly Tensor[], axis: 0 | 1): Tensor {
  const [first] = inputs;
  const parts = inputs.map((one) => [...float32Of(one)]);
  const height = first?.shape[0] ?? 0;
  const total = inputs.reduce((sum, { shape }) => sum + (shape[axis] ?? 0), 0);
  const name = first?.name ?? '';
  if (axis === 0) return tensorFrom(name, 'float32', parts.flat(), [total, first?.shape[1] ?? 0]);
  const rows = Array.from({ length: height }, (_, row) =>
    parts.flatMap((part) =>
      part.slice((row * part.length) / height, ((row + 1) * part.length) / height),
    ),
  );
  return tensorFrom(name, 'float32', rows.flat(), [height, total]);
}

/** Callers at once, each with rows of its own: all get what ONNX Runtime gives for theirs alone. */
async function callersAlone(
  model: string,
  inputs: readonly Tensor[],
): Promise<{ turns: number; runs: number; joint: number }> {
  const direct = await served.direct(model);
  const alone: object[] = [];
  for (const input of inputs) alone.push(plain(await direct.one({ [input.name]: input }, 'y')));
  // Results that are all the same would show no leak.
  expect(new Set(alone.map((one) => JSON.stringify(one))).size).toBeGreaterThan(1);
  const together = await served.crowd(
    model,
    inputs.map((input) => [input]),
    (caller, chunks) => expect(plain(only(chunks).tensor('y'))).toEqual(alone[caller]),
  );
  expect(together.turns).toBeGreaterThanOrEqual(inputs.length);
  return together;
}

const callers = Array.from({ length: CALLERS }, (_, caller) => caller);

describe('rows that leak into each other never share a run with another caller’s', () => {
  test.each<[string, Tensor[], 0 | 1]>([
    ['hidden-leak', callers.map((i) => tensorFrom('x', 'float32', [1000 + i], [1, 1])), 0],
    ['leak-in-columns', callers.map(ids), 1],
    ['quant-dyn-here', callers.map((i) => loud(1 + (i % 2), 16, i)), 0],
    ['quantized-inside', callers.map((i) => loud(1 + (i % 2), 4, i)), 0],
  ])(
    '%s',
    async (model, inputs, axis) => {
      const info = await served.ready(model);
      expect(info.batchClass).toBe('unbatched');
      expect(await served.batchingNote(model)).not.toBe('');
      const direct = await served.direct(model);
      const shared = await direct.one({ [inputs[0]?.name ?? '']: stacked(inputs, axis) }, 'y');
      const own: Tensor[] = [];
      for (const input of inputs) own.push(await direct.one({ [input.name]: input }, 'y'));
      // They would get something else if they shared a run.
      expect(plain(shared)).not.toEqual(plain({ ...stacked(own, axis), name: 'y' }));
      const { runs, turns, joint } = await callersAlone(model, inputs);
      expect({ runs, joint }).toEqual({ runs: turns, joint: 0 });
    },
    60_000,
  );

  test('though callers as many as these do share runs where rows are their own', async () => {
    const info = await served.ready('no-leak-in-columns');
    expect(info.batchClass).toBe('exact');
    expect(await served.batchingNote('no-leak-in-columns')).toBe('');
    const { joint } = await callersAlone('no-leak-in-columns', callers.map(ids));
    expect(joint).toBeGreaterThan(0);
  }, 60_000);
});

describe('the rows of a turn run together, as they were sent', () => {
  test.each([
    ['quant-dyn-here', 16],
    ['quantized-inside', 4],
  ])('%s', async (model, width) => {
    const direct = await served.direct(model);
    const rows = loud(3, width, 9);
    const together = await direct.one({ x: rows }, 'y');
    // Row by row they give something else: else this would show nothing.
    const first = [...float32Of(await direct.one({ x: loud(1, width, 9) }, 'y'))];
    expect([...float32Of(together)].slice(0, first.length)).not.toEqual(first);
    const { y } = outputsOf(await served.record(model, [rows]));
    expect(y && plain(y)).toEqual(plain(together));
  });
});
