/** Outputs as the graph gives them: whatever their axes, without elements, beside others that are no tensors. */
import { tensorFrom } from '@cabstand/client';
import type { Tensor } from '@cabstand/client';
import { plain } from '../support/cases/direct';
import { answersTo, eighths, value } from '../support/cases/kin';
import type { Kin } from '../support/cases/kin';
import { Served, outputsOf } from '../support/cases/served';

const rows = (name: string, count: number, seed = count): Tensor =>
  tensorFrom(name, 'float32', eighths(count * 4, seed), [count, 4]);
const golden = (name: string, outputs: string[]): Kin['golden'] =>
  answersTo(
    Array.from({ length: 32 }, (_, i) => ({ [name]: rows(name, 1, i) })),
    outputs,
  );
const manifest = (outputs: string): string => `
graphs:
  main:
    file: m.onnx
    run: per-step
    inputs: { x: { from: input, input: x, batch_axis: 0 } }
    outputs: { ${outputs} }
inputs: { x: { dtype: float32, shape: [n, 4] } }`;

/** Rows at axis 1, a size that does not follow them, and one that follows their square. */
const manyAxes: Kin = {
  name: 'many-axes',
  kind: 'stateless',
  graph: {
    inputs: [value('x', ['n', 4])],
    outputs: [value('columns', [4, 'n']), value('most', [1, 4]), value('pairs', ['n', 'n'])],
    nodes: [
      { op: 'Transpose', inputs: ['x'], outputs: ['columns'], attributes: { perm: [1, 0] } },
      { op: 'ReduceMax', inputs: ['x'], outputs: ['most'], attributes: { axes: [0] } },
      { op: 'MatMul', inputs: ['x', 'columns'], outputs: ['pairs'] },
    ],
  },
  manifest: manifest(
    'columns: { emit: columns, batch_axis: null }, most: { emit: most, batch_axis: null }, pairs: { emit: pairs, batch_axis: null }',
  ),
  golden: golden('x', ['columns', 'most', 'pairs']),
};

/** Which rows are the largest in each column: as if the graph had said which axis it is. */
const wrongAxis: Kin = {
  name: 'wrong-axis',
  kind: 'stateless',
  graph: {
    inputs: [value('x', ['n', 4])],
    outputs: [value('best', [4], 'int64'), value('twice', ['m', 4])],
    nodes: [
      {
        op: 'ArgMax',
        inputs: ['x'],
        outputs: ['best'],
        attributes: { axis: 0, keepdims: 0 },
      },
      { op: 'Concat', inputs: ['x', 'x'], outputs: ['twice'], attributes: { axis: 0 } },
    ],
  },
  manifest: manifest(
    'best: { emit: best, batch_axis: null }, twice: { emit: twice, batch_axis: 0 }',
  ),
  golden: golden('x', ['best', 'twice']),
};

/** A map for each row, made of the same numbers as an output that is bound. */
const unboundMaps: Kin = {
  name: 'unbound-maps',
  kind: 'stateless',
  graph: {
    inputs: [value('x', ['n', 4])],
    outputs: [
      value('y', ['n', 4]),
      {
        name: 'byWord',
        sequence: { map: { key: 'string', value: { dtype: 'float32', dims: [] } } },
      },
    ],
    nodes: [
      { op: 'Softmax', inputs: ['x'], outputs: ['y'] },
      {
        op: 'ZipMap',
        domain: 'ai.onnx.ml',
        inputs: ['y'],
        outputs: ['byWord'],
        attributes: { classlabels_strings: ['a', 'b', 'c', 'd'] },
      },
    ],
    opsets: { 'ai.onnx.ml': 1 },
  },
  manifest: manifest('y: { emit: y, batch_axis: 0 }'),
  golden: golden('x', ['y']),
};

/** Where a table is not zero, as pairs of places. */
const nonzeroPlaces: Kin = {
  name: 'nonzero-places',
  kind: 'stateless',
  graph: {
    inputs: [value('x', ['n', 'm'], 'int32')],
    outputs: [value('places', ['k', 2], 'int64'), value('same', ['n', 'm'], 'int32')],
    nodes: [
      { op: 'NonZero', inputs: ['x'], outputs: ['found'] },
      { op: 'Transpose', inputs: ['found'], outputs: ['places'], attributes: { perm: [1, 0] } },
      { op: 'Identity', inputs: ['x'], outputs: ['same'] },
    ],
  },
  manifest: `
graphs:
  main:
    file: m.onnx
    run: per-step
    inputs: { x: { from: input, input: x, batch_axis: null } }
    outputs:
      places: { emit: places, batch_axis: null }
      same: { emit: same, batch_axis: null }
inputs: { x: { dtype: int32, shape: [n, m] } }`,
  golden: answersTo(
    Array.from({ length: 36 }, (_, i) => ({
      x: tensorFrom('x', 'int32', eighths(3 * (i % 4), i).map(Math.round), [3, i % 4]),
    })),
    ['places', 'same'],
  ),
};

let served: Served;

beforeAll(async () => {
  served = await Served.start(
    ['lgb-null1', 't-sumall1', 'lgb-zipmap-true', 't-seqout-unbound', 't-nms', 't-nonzero'],
    [manyAxes, wrongAxis, unboundMaps, nonzeroPlaces],
  );
}, 120_000);

afterAll(() => served[Symbol.asyncDispose]());

interface Bound {
  /** What the graph calls the inputs and outputs that callers know under the names beside. */
  readonly inputs: Readonly<Record<string, string>>;
  readonly outputs: Readonly<Record<string, string>>;
}

const same = (input: string, outputs: string[]): Bound => ({
  inputs: { [input]: input },
  outputs: Object.fromEntries(outputs.map((name) => [name, name])),
});

/** A turn gives all outputs, and each as ONNX Runtime gives it. */
async function check(
  model: string,
  bound: Bound,
  input: Record<string, Tensor>,
): Promise<Tensor[]> {
  const direct = await served.direct(model);
  const feeds = Object.fromEntries(
    Object.entries(bound.inputs).map(([graph, name]) => [graph, input[name] as Tensor]),
  );
  const results = await direct.run(feeds, Object.keys(bound.outputs));
  const names = Object.values(bound.outputs);
  const expected = Object.fromEntries(results.map((one, index) => [names[index], plain(one)]));
  const got = outputsOf(await served.record(model, input));
  expect(Object.fromEntries(Object.entries(got).map(([name, one]) => [name, plain(one)]))).toEqual(
    expected,
  );
  return results;
}

const BOUND: Readonly<Record<string, Bound>> = {
  'lgb-null1': {
    inputs: { X: 'x' },
    outputs: { label: 'label', probabilities: 'probabilities' },
  },
  't-sumall1': same('x', ['y']),
  'many-axes': same('x', ['columns', 'most', 'pairs']),
  'wrong-axis': same('x', ['best', 'twice']),
  'lgb-zipmap-true': { inputs: { X: 'x' }, outputs: { label: 'label' } },
  't-seqout-unbound': same('x', ['z']),
  'unbound-maps': same('x', ['y']),
  't-nms': { inputs: { b: 'boxes', s: 'scores' }, outputs: { y: 'sel' } },
  't-nonzero': same('x', ['y']),
  'nonzero-places': same('x', ['places', 'same']),
};
const boundOf = (model: string): Bound => BOUND[model] ?? same('x', []);

describe('a turn of 1, 2 and 3 rows gives every output as the graph does', () => {
  test.each(['lgb-null1', 't-sumall1', 'many-axes', 'wrong-axis'])('%s', async (model) => {
    await served.ready(model);
    for (const count of [1, 2, 3, 2, 1])
      await check(model, boundOf(model), { x: rows('x', count) });
  });
});

describe('an output that is no tensor, and that nobody asks for, is left out and named', () => {
  test.each([
    ['lgb-zipmap-true', 'probabilities'],
    ['t-seqout-unbound', 'q'],
    ['unbound-maps', 'byWord'],
  ])('%s', async (model, output) => {
    const info = await served.ready(model);
    expect(info.outputs.map(({ name }) => name)).toEqual(Object.values(boundOf(model).outputs));
    expect(served.log(model)).toMatch(new RegExp(`output ${output} .*left out`));
    for (const count of [1, 2, 3]) await check(model, boundOf(model), { x: rows('x', count) });
  });
});

describe('tensors without elements come and go', () => {
  const boxes = (values: number[]): Tensor =>
    tensorFrom('boxes', 'float32', values, [1, values.length / 4, 4]);
  const scores = (values: number[]): Tensor =>
    tensorFrom('scores', 'float32', values, [1, 1, values.length]);
  const vector = (values: number[]): Tensor => tensorFrom('x', 'float32', values);
  const table = (values: number[], shape: number[]): Tensor =>
    tensorFrom('x', 'int32', values, shape);

  test.each<[string, string, Record<string, Tensor>, boolean]>([
    ['t-nms', 'no box scores enough', { boxes: boxes([0, 0, 1, 1]), scores: scores([0]) }, true],
    ['t-nms', 'one does', { boxes: boxes([0, 0, 1, 1]), scores: scores([0.5]) }, false],
    ['t-nms', 'there are no boxes', { boxes: boxes([]), scores: scores([]) }, true],
    ['t-nonzero', 'all is zero', { x: vector([0, 0, 0]) }, true],
    ['t-nonzero', 'something is not', { x: vector([0, 2, 0]) }, false],
    ['t-nonzero', 'there is nothing', { x: vector([]) }, true],
    ['nonzero-places', 'all is zero', { x: table([0, 0, 0, 0, 0, 0], [2, 3]) }, true],
    ['nonzero-places', 'something is not', { x: table([0, 3, 0, 0], [4, 1]) }, false],
    ['nonzero-places', 'there are no columns', { x: table([], [2, 0]) }, true],
    ['nonzero-places', 'there are no rows', { x: table([], [0, 5]) }, true],
  ])('%s: %s', async (model, _, input, empty) => {
    await served.ready(model);
    const [result] = await check(model, boundOf(model), input);
    expect(result?.shape.includes(0)).toBe(empty);
    expect(result?.data.byteLength === 0).toBe(empty);
    // The engine goes on.
    await check(model, boundOf(model), input);
  });
});
