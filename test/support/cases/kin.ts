/** Models made by a test, of the same kind as a case: other numbers, other axes, the same fault. */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Tensor } from '@cabstand/client';
import { onnxModel } from '@cabstand/testing';
import type { OnnxModel, OnnxTensor, OnnxValue } from '@cabstand/testing';
import { Direct } from './direct';

export interface Kin {
  readonly name: string;
  readonly kind: 'stateless' | 'stateful';
  readonly graph: OnnxModel;
  /** The rest of model.yaml from `inputs` on; the one graph is `m.onnx`, and called `main`. */
  readonly manifest: string;
  /** Of golden data; default 1e-4. */
  readonly tolerance?: number;
  /** What callers may send and what ONNX Runtime answers to it. */
  readonly golden: (direct: Direct) => Promise<GoldenTurn[]>;
}

interface GoldenTurn {
  readonly inputs: Readonly<Record<string, Tensor>>;
  readonly records: readonly (readonly Tensor[])[];
}

/** Writes the model into a repository. */
export async function writeKin(repository: string, kin: Kin): Promise<void> {
  const folder = path.join(repository, kin.name);
  mkdirSync(path.join(folder, '1'), { recursive: true });
  writeFileSync(path.join(folder, '1/m.onnx'), onnxModel(kin.graph));
  writeFileSync(path.join(folder, 'model.yaml'), `${head(kin)}${kin.manifest}\n${tail(kin)}`);
  const turns = await kin.golden(await Direct.of(folder));
  const sequences = turns.map(({ inputs, records }) => ({
    inputs: Object.fromEntries(Object.entries(inputs).map(([name, one]) => [name, written(one)])),
    records: records.map((outputs) => ({
      outputs: Object.fromEntries(outputs.map((one) => [one.name, written(one)])),
    })),
  }));
  const golden = { made_by: 'test/support/cases/kin.ts', reference: 'onnxruntime-node', sequences };
  writeFileSync(path.join(folder, 'golden.json'), JSON.stringify(golden));
}

function head({ name, kind }: Kin): string {
  return `name: ${name}
kind: ${kind}
description: Of the same kind as a case; for tests.
provenance: { source: a test, version: '1', digest: none, licence: Apache-2.0, script: none }
`;
}

function tail({ tolerance = 1e-4 }: Kin): string {
  return `golden: { file: golden.json, tolerance: ${tolerance} }\n`;
}

function written({ dtype, shape, data, strings }: Tensor): object {
  return strings === undefined
    ? { dtype, shape, base64: Buffer.from(data).toString('base64') }
    : { dtype, shape, strings };
}

/** Golden data of a stateless model whose tensors callers see under the names of the graph. */
export function answersTo(
  turns: readonly Readonly<Record<string, Tensor>>[],
  outputs: readonly string[],
): Kin['golden'] {
  return async (direct) => {
    const golden: GoldenTurn[] = [];
    for (const inputs of turns)
      golden.push({ inputs, records: [await direct.run(inputs, outputs)] });
    return golden;
  };
}

/** An input or output of a graph. */
export function value(
  name: string,
  dims: (number | string)[],
  dtype: Tensor['dtype'] = 'float32',
): OnnxValue {
  return { name, dtype, dims };
}

/** A float32 weight, unless another dtype is given. */
export function weight(
  name: string,
  shape: number[],
  values: OnnxTensor['values'],
  dtype: Tensor['dtype'] = 'float32',
): OnnxTensor {
  return { name, dtype, shape, values };
}

/** Whole eighths from -4 to 4 in an order without a pattern, the same for the same seed. */
export function eighths(count: number, seed = 1): number[] {
  let state = seed * 2_654_435_761;
  return Array.from({ length: count }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return ((state >>> 16) % 65) / 8 - 4;
  });
}
