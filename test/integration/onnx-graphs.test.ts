/** Graphs that `onnxModel` of @cabstand/testing makes are those that ONNX Runtime runs. */
import { DTYPES, isDType } from '@cabstand/tensor';
import type { DType } from '@cabstand/tensor';
import { onnxModel } from '@cabstand/testing';
import type { OnnxModel, OnnxNode, OnnxTensor, OnnxValue } from '@cabstand/testing';
import { InferenceSession, Tensor } from 'onnxruntime-node';

const value = (name: string, dtype: DType, dims?: (number | string)[]): OnnxValue => ({
  name,
  dtype,
  dims,
});

/** Runs one graph; its outputs' elements, with bigints as they are. */
async function run(model: OnnxModel, feeds: Record<string, Tensor>): Promise<unknown> {
  const session = await InferenceSession.create(onnxModel(model), { logSeverityLevel: 4 });
  const results = await session.run(feeds);
  return Object.fromEntries(
    Object.entries(results).map(([name, { data, dims }]) => [name, { dims, data: [...data] }]),
  );
}

function floats(data: number[], dims = [data.length]): Tensor {
  return new Tensor('float32', Float32Array.from(data), dims);
}

/** A graph of one node with an input `x` and an output `y`, both of any rank. */
function oneNode(
  node: Omit<OnnxNode, 'outputs'>,
  initializers: OnnxTensor[] = [],
  dtypes: { x: DType; y: DType } = { x: 'float32', y: 'float32' },
): OnnxModel {
  return {
    inputs: [value('x', dtypes.x)],
    outputs: [value('y', dtypes.y)],
    nodes: [{ ...node, outputs: ['y'] }],
    initializers,
  };
}

describe('graphs that ONNX Runtime runs', () => {
  test('Add of two inputs', async () => {
    const model: OnnxModel = {
      inputs: [value('a', 'float32', ['n']), value('b', 'float32', ['n'])],
      outputs: [value('c', 'float32', ['n'])],
      nodes: [{ op: 'Add', inputs: ['a', 'b'], outputs: ['c'] }],
    };
    expect(await run(model, { a: floats([1, 2]), b: floats([3, 4.5]) })).toEqual({
      c: { dims: [2], data: [4, 6.5] },
    });
  });

  test.each<[string, OnnxModel, Tensor, object]>([
    [
      'MatMul with weights',
      oneNode({ op: 'MatMul', inputs: ['x', 'w'] }, [
        { name: 'w', dtype: 'float32', shape: [2, 3], values: [1, 2, 3, 4, 5, 6] },
      ]),
      floats([1, 10], [1, 2]),
      { dims: [1, 3], data: [41, 52, 63] },
    ],
    [
      'ReduceSum with int64 axes',
      oneNode({ op: 'ReduceSum', inputs: ['x', 'axes'], attributes: { keepdims: 0 } }, [
        { name: 'axes', dtype: 'int64', shape: [1], values: [-1] },
      ]),
      floats([1, 2, 3, 4], [2, 2]),
      { dims: [2], data: [3, 7] },
    ],
    [
      'Concat with a scalar attribute',
      oneNode({ op: 'Concat', inputs: ['x', 'x'], attributes: { axis: 1n } }),
      floats([1, 2], [2, 1]),
      { dims: [2, 2], data: [1, 1, 2, 2] },
    ],
    [
      'Transpose with a list of ints',
      oneNode({ op: 'Transpose', inputs: ['x'], attributes: { perm: [1, 0] } }),
      floats([1, 2, 3, 4], [2, 2]),
      { dims: [2, 2], data: [1, 3, 2, 4] },
    ],
    [
      'LeakyRelu with a float',
      oneNode({ op: 'LeakyRelu', inputs: ['x'], attributes: { alpha: 0.5 } }),
      floats([-4, 4]),
      { dims: [2], data: [-2, 4] },
    ],
    [
      'LeakyRelu with a whole float',
      oneNode({ op: 'LeakyRelu', inputs: ['x'], attributes: { alpha: { float: 2 } } }),
      floats([-4, 4]),
      { dims: [2], data: [-8, 4] },
    ],
    [
      'Scaler with lists of floats, of another domain',
      {
        ...oneNode({
          op: 'Scaler',
          domain: 'ai.onnx.ml',
          inputs: ['x'],
          attributes: { offset: { floats: [1, 2] }, scale: { floats: [2, 0.5] } },
        }),
        opsets: { 'ai.onnx.ml': 3 },
      },
      floats([3, 3], [1, 2]),
      { dims: [1, 2], data: [4, 0.5] },
    ],
    [
      'LabelEncoder with strings',
      {
        ...oneNode(
          {
            op: 'LabelEncoder',
            domain: 'ai.onnx.ml',
            inputs: ['x'],
            attributes: {
              keys_int64s: [1, 2n],
              values_strings: ['one', 'zwölf'],
              default_string: '?',
            },
          },
          [],
          { x: 'int64', y: 'string' },
        ),
        opsets: { 'ai.onnx.ml': 3 },
      },
      new Tensor('int64', BigInt64Array.from([2n, 1n, 7n]), [3]),
      { dims: [3], data: ['zwölf', 'one', '?'] },
    ],
    [
      'Identity of strings',
      oneNode({ op: 'Identity', inputs: ['x'] }, [], { x: 'string', y: 'string' }),
      new Tensor('string', ['a', '', 'ö'], [3]),
      { dims: [3], data: ['a', '', 'ö'] },
    ],
    [
      'int64 weights beyond 2^53',
      oneNode(
        { op: 'Add', inputs: ['x', 'w'] },
        [{ name: 'w', dtype: 'int64', shape: [1], values: [2n ** 62n + 1n] }],
        { x: 'int64', y: 'int64' },
      ),
      new Tensor('int64', BigInt64Array.from([1n]), [1]),
      { dims: [1], data: [2n ** 62n + 2n] },
    ],
    [
      'float16 weights',
      oneNode(
        { op: 'Mul', inputs: ['x', 'w'] },
        [{ name: 'w', dtype: 'float16', shape: [], values: [-1.5] }],
        { x: 'float16', y: 'float16' },
      ),
      // 2 × -1.5 = -3
      new Tensor('float16', Uint16Array.from([0x4000]), [1]),
      { dims: [1], data: [0xc200] },
    ],
    [
      'a constant that holds strings',
      oneNode(
        {
          op: 'Constant',
          inputs: [],
          attributes: { value: { tensor: { dtype: 'string', shape: [1, 2], values: ['a', 'b'] } } },
        },
        [],
        { x: 'float32', y: 'string' },
      ),
      floats([]),
      { dims: [1, 2], data: ['a', 'b'] },
    ],
  ])('%s', async (_, model, x, expected) => {
    expect(await run(model, { x })).toEqual({ y: expected });
  });

  const CODES: Record<DType, number> = {
    float32: 1,
    uint8: 2,
    int8: 3,
    uint16: 4,
    int16: 5,
    int32: 6,
    int64: 7,
    string: 8,
    bool: 9,
    float16: 10,
    float64: 11,
    uint32: 12,
    uint64: 13,
  };
  test.each(Object.keys(DTYPES).filter(isDType))('Cast to %s', async (dtype) => {
    const model = oneNode({ op: 'Cast', inputs: ['x'], attributes: { to: CODES[dtype] } }, [], {
      x: 'float32',
      y: dtype,
    });
    const big = dtype === 'int64' || dtype === 'uint64';
    const one = dtype === 'string' ? '1' : big ? 1n : dtype === 'float16' ? 0x3c00 : 1;
    expect(await run(model, { x: floats([1]) })).toEqual({ y: { dims: [1], data: [one] } });
  });

  test('If with branches that use a name of the graph around them', async () => {
    const branch = (op: string) => ({
      graph: {
        inputs: [],
        outputs: [value('o', 'float32')],
        nodes: [{ op, inputs: ['x'], outputs: ['o'] }],
      },
    });
    const model: OnnxModel = {
      inputs: [value('c', 'bool', []), value('x', 'float32'), value('z', 'float32')],
      outputs: [value('y', 'float32'), value('w', 'float32')],
      nodes: [
        {
          op: 'If',
          inputs: ['c'],
          outputs: ['y'],
          attributes: { then_branch: branch('Neg'), else_branch: branch('Exp') },
        },
        { op: 'Abs', inputs: ['z'], outputs: ['w'] },
      ],
    };
    const c = new Tensor('bool', Uint8Array.from([1]), []);
    expect(await run(model, { c, x: floats([2]), z: floats([-1]) })).toEqual({
      y: { dims: [1], data: [-2] },
      w: { dims: [1], data: [1] },
    });
  });
});
