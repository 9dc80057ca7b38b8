/** What @cabstand/model reads of graphs that tests make is what ONNX Runtime says of them. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { dependsOn, operators, readGraph } from '@cabstand/model';
import type { GraphSummary } from '@cabstand/model';
import { DTYPES, isDType } from '@cabstand/tensor';
import type { DType } from '@cabstand/tensor';
import { onnxModel } from '@cabstand/testing';
import type { OnnxModel, OnnxValue } from '@cabstand/testing';
import { InferenceSession } from 'onnxruntime-node';

const folder = mkdtempSync(path.join(tmpdir(), 'onnx-file-'));
afterAll(() => rmSync(folder, { recursive: true }));

const value = (name: string, dtype: DType, dims?: (number | string)[]): OnnxValue => ({
  name,
  dtype,
  dims,
});

async function read(model: OnnxModel): Promise<GraphSummary> {
  const file = path.join(folder, 'graph.onnx');
  writeFileSync(file, onnxModel(model));
  return readGraph(file);
}

async function agree(model: OnnxModel): Promise<void> {
  const session = await InferenceSession.create(onnxModel(model), { logSeverityLevel: 3 });
  const graph = await read(model);
  const metadata = ({ name, kind, dtype, dims = [] }: GraphSummary['inputs'][number]): object =>
    kind === 'tensor'
      ? { name, isTensor: true, type: dtype, shape: dims.map((size) => size ?? '') }
      : { name, isTensor: false };
  expect(graph.inputs.map(metadata)).toEqual(session.inputMetadata);
  expect(graph.outputs.map(metadata)).toEqual(session.outputMetadata);
}

describe('the reader of files agrees with ONNX Runtime', () => {
  const identity = (dims?: (number | string)[]): OnnxModel => ({
    inputs: [value('x', 'float32', dims)],
    outputs: [value('y', 'float32', dims)],
    nodes: [{ op: 'Identity', inputs: ['x'], outputs: ['y'] }],
  });
  test.each<[string, OnnxModel]>([
    ['fixed, named and unnamed dimensions', identity([2, 'n', '', 'n'])],
    ['a scalar', identity([])],
    ['an unknown rank', identity()],
    ['a dimension below zero', identity([-1, 3])],
    ['a dimension of zero', identity([0, 3])],
    [
      'an input with a default',
      {
        inputs: [value('x', 'float32', ['n']), value('w', 'float32', [1])],
        outputs: [value('y', 'float32', ['n'])],
        nodes: [{ op: 'Add', inputs: ['x', 'w'], outputs: ['y'] }],
        initializers: [{ name: 'w', dtype: 'float32', shape: [1], values: [1] }],
      },
    ],
    [
      'a sequence, and an optional',
      {
        inputs: [value('x', 'float32', ['n'])],
        outputs: [
          { name: 's', sequence: { dtype: 'float32', dims: ['n'] } },
          { name: 'o', optional: { dtype: 'float32', dims: ['n'] } },
        ],
        nodes: [
          { op: 'SequenceConstruct', inputs: ['x'], outputs: ['s'] },
          { op: 'Optional', inputs: ['x'], outputs: ['o'] },
        ],
      },
    ],
    [
      'a sequence of maps',
      {
        inputs: [value('x', 'float32', ['n', 2])],
        outputs: [
          { name: 'z', sequence: { map: { key: 'int64', value: { dtype: 'float32', dims: [] } } } },
        ],
        nodes: [
          {
            op: 'ZipMap',
            domain: 'ai.onnx.ml',
            inputs: ['x'],
            outputs: ['z'],
            attributes: { classlabels_int64s: [3, 5] },
          },
        ],
        opsets: { 'ai.onnx.ml': 3 },
      },
    ],
  ])('on %s', async (_, model) => {
    await agree(model);
  });

  test.each(Object.keys(DTYPES).filter(isDType))('on %s', async (dtype) => {
    const model: OnnxModel = {
      inputs: [value('x', dtype, ['n'])],
      outputs: [value('y', dtype, ['n'])],
      nodes: [{ op: 'Identity', inputs: ['x'], outputs: ['y'] }],
    };
    await agree(model);
  });
});

test('what a branch takes from the graph around it is found', async () => {
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
  const graph = await read(model);
  expect(dependsOn(graph, 'y')).toEqual(new Set(['c', 'x']));
  expect(dependsOn(graph, 'w')).toEqual(new Set(['z']));
  expect(operators(graph)).toEqual(new Set(['If', 'Neg', 'Exp', 'Abs']));
});
