/** Model folders made in a test, loaded in this process as an engine loads them. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeGolden } from '@cabstand/model';
import type { GoldenTurn } from '@cabstand/model';
import { onnxModel } from '@cabstand/testing';
import type { OnnxModel, OnnxNode } from '@cabstand/testing';
import { tensorOf } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';
import type { LoadFrame } from '../frames/types';
import { loadModel } from '../load';
import type { LoadedModel } from '../load';

export class MadeModel implements Disposable {
  readonly #root = mkdtempSync(join(tmpdir(), 'cabstand-verify-'));
  readonly folder = join(this.#root, 'made');
  readonly cache = join(this.#root, 'cache');
  readonly stages: string[] = [];

  /** @param manifest lines of model.yaml but for the name */
  constructor(graph: OnnxModel, manifest: string) {
    mkdirSync(join(this.folder, '1'), { recursive: true });
    writeFileSync(join(this.folder, '1', 'm.onnx'), onnxModel(graph));
    writeFileSync(join(this.folder, 'model.yaml'), `name: made\n${manifest}`);
  }

  async golden(sequences: readonly (readonly GoldenTurn[])[]): Promise<void> {
    const data = sequences.map((turns) => ({ turns }));
    await writeGolden(this.folder, { madeBy: 'a test', reference: 'arithmetic', sequences: data });
  }

  async load(options: Partial<LoadFrame> = {}): Promise<LoadedModel> {
    this.stages.length = 0;
    return await loadModel(
      {
        type: 'LOAD',
        folder: this.folder,
        version: '1',
        ...{ provider: 'cpu', threads: 1, nice: 0, verify: true, maxBatch: 16, maxSequences: 8 },
        ...options,
      },
      (stage) => this.stages.push(stage),
    );
  }

  [Symbol.dispose](): void {
    rmSync(this.#root, { recursive: true });
  }
}

export const floats = (name: string, values: readonly number[], shape?: number[]): Tensor =>
  tensorOf(name, Float32Array.from(values), shape);

/** A turn that brings `x`, and whose records have `y`. */
export const turnOf = (x: Tensor, ...records: readonly Tensor[]): GoldenTurn => ({
  prompt: '',
  parameters: {},
  inputs: [x],
  records: records.map((y) => ({ outputs: [y], text: '' })),
});

export const node = (
  op: string,
  inputs: readonly string[],
  outputs: readonly string[],
  attributes: NonNullable<OnnxNode['attributes']> = {},
): OnnxNode => ({ op, inputs, outputs, attributes });

/** `y` from rows of two numbers, `x`, stateless. */
export const ROWS = `
graphs:
  main:
    file: m.onnx
    inputs: { x: { from: input, input: x, batch_axis: 0 } }
    outputs: { y: { emit: y } }
inputs: { x: { dtype: float32, shape: [n, 2] } }
`;

export const rowGraph = (
  nodes: readonly OnnxNode[],
  initializers: NonNullable<OnnxModel['initializers']> = [],
): OnnxModel => ({
  inputs: [{ name: 'x', dtype: 'float32', dims: ['n', 2] }],
  outputs: [{ name: 'y', dtype: 'float32' }],
  nodes,
  initializers,
});

export const scalar = (name: string, value: number) => ({
  ...{ name, dtype: 'float32' as const, shape: [], values: [value] },
});

/** `y` is twice `x`. */
export const DOUBLE = rowGraph([node('Mul', ['x', 'two'], ['y'])], [scalar('two', 2)]);

/** Rows of `x`, each a turn, with twice them as `y`. */
export const doubled = Array.from({ length: 8 }, (_, index) => {
  const x = [index + 0.25, -index / 3].map(Math.fround);
  const y = x.map((one) => one * 2);
  return [turnOf(floats('x', x, [1, 2]), floats('y', y, [1, 2]))];
});

export const GOLDEN = 'golden: { file: golden.json }\n';
