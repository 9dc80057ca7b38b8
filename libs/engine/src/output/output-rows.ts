/** One output of a graph, taken apart into the rows of its run. */
import type { Tensor as OrtTensor } from 'onnxruntime-node';
import { CabstandError } from '@cabstand/core';
import { elementCount } from '@cabstand/tensor';
import type { BoundOutput } from '../graphs/bound';
import { bytesOf } from '../graphs/batch-tensor';
import { stringTensorBytes, tensorPrefix } from './step-writer';
import type { StepWriter } from './step-writer';

const NOTHING = new Uint8Array(0);

/** What several rows are within a tensor: `outer` blocks, each with a piece of every row. */
export interface RowBlocks {
  readonly outer: number;
  /** Elements of a row in one block. */
  readonly inner: number;
}

/**
 * How a run's output holds its rows. A row that ran alone is the whole output, whatever its axes.
 *
 * @throws CabstandError MODEL_FAILED where the output does not have a row for each of several.
 */
export function blocksOf(output: BoundOutput, dims: readonly number[], rows: number): RowBlocks {
  if (rows === 1) return { outer: 1, inner: elementCount(dims) };
  const { batchAxis, name } = output;
  if (batchAxis === null || dims[batchAxis] !== rows)
    throw new CabstandError(
      'MODEL_FAILED',
      `output ${name} has shape [${dims.join(', ')}], expected ${rows} rows at axis ${batchAxis}`,
    );
  return {
    outer: elementCount(dims.slice(0, batchAxis)),
    inner: elementCount(dims.slice(batchAxis + 1)),
  };
}

/** A public output: writes one row after the other of what the last run gave. */
export class OutputRows {
  readonly #name: string;
  #rows = 0;
  #dims: readonly number[] = [];
  #blocks: RowBlocks = { outer: 1, inner: 0 };
  #shape: readonly number[] = [];
  /** What stands before the bytes of each row in a chunk: the same from step to step. */
  #prefix: Buffer = Buffer.alloc(0);
  #bytes: Uint8Array = NOTHING;
  /** Bytes of a row in one block. */
  #piece = 0;
  #strings: readonly string[] | undefined;

  /** @param name as callers know it */
  constructor(
    name: string,
    readonly output: BoundOutput,
  ) {
    this.#name = name;
  }

  /** What a run of this many rows gave. Throws MODEL_FAILED where it lacks rows. */
  take(tensor: OrtTensor, rows: number): void {
    const { dims, data } = tensor;
    const fresh = rows !== this.#rows || !sameShape(dims, this.#dims);
    if (fresh) {
      this.#blocks = blocksOf(this.output, dims, rows);
      this.#shape = rows === 1 ? dims : dims.with(this.output.batchAxis ?? 0, 1);
      this.#dims = dims;
      this.#rows = rows;
    }
    if (Array.isArray(data)) {
      this.#strings = data;
      return;
    }
    const values = data;
    this.#bytes = bytesOf(values);
    if (!fresh) return;
    this.#piece = this.#blocks.inner * values.BYTES_PER_ELEMENT;
    const length = this.#piece * this.#blocks.outer;
    this.#prefix = tensorPrefix(this.#name, this.output.dtype, this.#shape, length);
  }

  write(row: number, out: StepWriter): void {
    const { outer } = this.#blocks;
    if (this.#strings !== undefined) {
      const { inner } = this.#blocks;
      const strings: string[] = [];
      for (let block = 0; block < outer; block += 1)
        for (let at = 0; at < inner; at += 1)
          strings.push(this.#strings[(block * this.#rows + row) * inner + at] ?? '');
      out.tensor(stringTensorBytes(this.#name, this.#shape, strings), NOTHING, 0, 0);
      return;
    }
    const piece = this.#piece;
    if (outer === 1) {
      out.tensor(this.#prefix, this.#bytes, row * piece, (row + 1) * piece);
      return;
    }
    const bytes = new Uint8Array(piece * outer);
    for (let block = 0; block < outer; block += 1) {
      const start = (block * this.#rows + row) * piece;
      bytes.set(this.#bytes.subarray(start, start + piece), block * piece);
    }
    out.tensor(this.#prefix, bytes, 0, bytes.length);
  }
}

function sameShape(a: readonly number[], b: readonly number[]): boolean {
  if (a.length !== b.length) return false;
  for (let axis = 0; axis < a.length; axis += 1) if (a[axis] !== b[axis]) return false;
  return true;
}
