/** What ONNX Runtime answers on a model's own file, with nobody else in the run: what callers must get. */
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { arrayOf, stringTensor, tensorOf } from '@cabstand/client';
import type { Tensor } from '@cabstand/client';
import { isDType } from '@cabstand/tensor';
import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';

export class Direct {
  private constructor(private readonly session: InferenceSession) {}

  /** @param folder of the model; its version 1 holds one file */
  static async of(folder: string): Promise<Direct> {
    const version = path.join(folder, '1');
    const [file, ...more] = readdirSync(version).filter((name) => name.endsWith('.onnx'));
    if (file === undefined || more.length > 0) throw new Error(`no single graph in ${version}`);
    return new Direct(
      await InferenceSession.create(path.join(version, file), {
        intraOpNumThreads: 1,
        interOpNumThreads: 1,
        logSeverityLevel: 4,
      }),
    );
  }

  /** One run. Inputs and outputs are called what the graph calls them. */
  async run(
    inputs: Readonly<Record<string, Tensor>>,
    outputs: readonly string[],
  ): Promise<Tensor[]> {
    const feeds = Object.entries(inputs).map(([name, tensor]) => [name, toOrt(tensor)]);
    const results = await this.session.run(
      Object.fromEntries(feeds) as Record<string, OrtTensor>,
      outputs,
    );
    return outputs.map((name) => {
      const result = results[name];
      if (result === undefined) throw new Error(`the graph gave no ${name}`);
      return fromOrt(name, result);
    });
  }

  /** One run of a graph with one output. */
  async one(inputs: Readonly<Record<string, Tensor>>, output: string): Promise<Tensor> {
    const [only] = await this.run(inputs, [output]);
    if (only === undefined) throw new Error(`the graph gave no ${output}`);
    return only;
  }
}

function toOrt(tensor: Tensor): OrtTensor {
  const { strings, dtype, shape } = tensor;
  return strings === undefined
    ? new OrtTensor(dtype, arrayOf(tensor) as Float32Array, shape)
    : new OrtTensor('string', [...strings], shape);
}

function fromOrt(name: string, { type, data, dims }: OrtTensor): Tensor {
  if (Array.isArray(data)) return stringTensor(name, data, dims);
  if (!isDType(type)) throw new Error(`${name} is of type ${type}`);
  const array = data;
  if (type !== 'float16') return tensorOf(name, array, dims, type);
  // A later Node has an array type of its own for it.
  const bits = new Uint16Array(array.buffer, array.byteOffset, array.length);
  return tensorOf(name, bits, dims, type);
}

/** A tensor as a test compares and prints it: equal only where shape, dtype and every element are. */
export function plain(tensor: Tensor): object {
  const { dtype, shape, strings } = tensor;
  const elements: readonly (number | bigint | string)[] = strings ?? [...arrayOf(tensor)];
  // Jest cannot hand a bigint from one of its processes to another, nor can JSON hold one.
  return {
    dtype,
    shape,
    elements: elements.map((one) => (typeof one === 'bigint' ? `${one}` : one)),
  };
}
