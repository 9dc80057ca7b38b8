/** Graphs of all types of numbers that give back what they are given, and the binding that says what is right. */
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { onnxModel } from '@cabstand/testing';
import { DTYPES } from '@cabstand/tensor';
import type { DType } from '@cabstand/tensor';
import { BindingSession } from '../graphs/binding-session';

export const NUMBERS = (Object.keys(DTYPES) as DType[]).filter((dtype) => dtype !== 'string');

/** `y = Identity(x)` of rows of two. */
export function identity(dtype: DType): Buffer {
  const dims = ['rows', 2];
  return onnxModel({
    inputs: [{ name: 'x', dtype, dims }],
    outputs: [{ name: 'y', dtype, dims }],
    nodes: [{ op: 'Identity', inputs: ['x'], outputs: ['y'] }],
  });
}

export function tensor(dtype: DType, rows: number): Tensor {
  const { array: Elements } = DTYPES[dtype];
  if (Elements === undefined) throw new Error(dtype);
  const data = new Elements(new ArrayBuffer(2 * rows * DTYPES[dtype].bytes), 0, 2 * rows);
  new Uint8Array(data.buffer).forEach((_, at, bytes) => {
    bytes[at] = dtype === 'bool' ? at % 2 : (at * 37 + 1) % 63;
  });
  return new Tensor(dtype as 'float32', data as Float32Array, [rows, 2]);
}

export function bytesOf({ data }: Pick<Tensor, 'data'>): Buffer {
  const { buffer, byteOffset, byteLength } = data as Float32Array;
  return Buffer.from(buffer, byteOffset, byteLength);
}

/** Sessions of a test: to be released after it. */
export class Opened {
  readonly #sessions: { release(): Promise<void> }[] = [];

  keep<S extends { release(): Promise<void> }>(session: S): S {
    this.#sessions.push(session);
    return session;
  }

  async binding(bytes: Uint8Array): Promise<BindingSession> {
    const session = await InferenceSession.create(bytes, { intraOpNumThreads: 1 });
    return this.keep(new BindingSession(session));
  }

  async release(): Promise<void> {
    for (const session of this.#sessions.splice(0)) await session.release();
  }
}
