/** Models whose state is so many MiB, and what they put out. */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Chunk, Session } from '@cabstand/client';
import { float32Of } from '@cabstand/tensor';
import { onnxModel } from '@cabstand/testing';

export const MIB = 1024 * 1024;

/** State of so many MiB, each element of which is the sum of all samples; puts out its extremes. */
export function addLargeModel(repository: string, mib: number): void {
  const folder = path.join(repository, `mib${mib}`);
  mkdirSync(path.join(folder, '1'), { recursive: true });
  const value = (name: string, size: number) =>
    ({ name, dtype: 'float32', dims: ['b', size] }) as const;
  const elements = (mib * MIB) / 4;
  const file = onnxModel({
    inputs: [value('sample', 1), value('sums', elements)],
    outputs: [value('least', 1), value('most', 1), value('sums_next', elements)],
    nodes: [
      { op: 'Add', inputs: ['sample', 'sums'], outputs: ['sums_next'] },
      { op: 'ReduceMin', inputs: ['sums_next'], outputs: ['least'], attributes: { axes: [1] } },
      { op: 'ReduceMax', inputs: ['sums_next'], outputs: ['most'], attributes: { axes: [1] } },
    ],
  });
  writeFileSync(path.join(folder, '1', 'step.onnx'), file);
  writeFileSync(
    path.join(folder, 'model.yaml'),
    `name: mib${mib}
kind: stateful
graphs:
  step:
    file: step.onnx
    inputs:
      sample: { from: frame, batch_axis: 0 }
      sums: { from: state, state: sums, batch_axis: 0 }
    outputs:
      least: { emit: least, batch_axis: 0 }
      most: { emit: most, batch_axis: 0 }
      sums_next: { state: sums, batch_axis: 0 }
state: { sums: { initial: zeros, shape: [1, ${elements}] } }
inputs: { samples: { dtype: float32, shape: [n] } }
framing: { input: samples, frame: 1, hop: 1 }
batching: { max_batch: 1 }
`,
  );
  // Two samples are enough to verify it, and quick.
  const tensor = (shape: readonly number[], ...values: number[]) => ({
    dtype: 'float32',
    shape,
    base64: Buffer.from(Float32Array.from(values).buffer).toString('base64'),
  });
  const records = [1, 3].map((sum) => ({
    outputs: { least: tensor([1, 1], sum), most: tensor([1, 1], sum) },
  }));
  const sequences = [{ inputs: { samples: tensor([2], 1, 2) }, records }];
  writeFileSync(path.join(folder, 'golden.json'), JSON.stringify({ sequences }));
}

export const valuesOf = (chunk: Chunk): number[] =>
  ['least', 'most'].map((name) => float32Of(chunk.tensor(name))[0] ?? NaN);

/** The sum that each record of a turn says, of the least and of the greatest element. */
export async function sums(session: Session, ...samples: number[]): Promise<number[][]> {
  const all: number[][] = [];
  for await (const chunk of session.runProtocolTask(undefined, {
    samples: Float32Array.from(samples),
  }))
    all.push(valuesOf(chunk));
  return all;
}
