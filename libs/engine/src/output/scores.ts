/** Scores of the next token, taken apart into the rows of their run. */
import type { Tensor as OrtTensor } from 'onnxruntime-node';
import { CabstandError } from '@cabstand/core';
import { float16Numbers } from '@cabstand/tensor';
import type { BoundOutput } from '../graphs/bound';
import { valuesOf } from '../graphs/rows';
import type { Values } from '../graphs/rows';
import { blocksOf } from './output-rows';
import type { RowBlocks } from './output-rows';
import type { Scores } from './sampling';

/** Where a row's scores are within those of a run. */
export interface ScoreRange {
  readonly scores: Scores;
  readonly offset: number;
  readonly count: number;
}

/** Scores as `[rows, vocabulary]`, or with more dimensions, of which the last position counts. */
export class ScoreRows {
  #data: Values = new Float32Array(0);
  #rows = 0;
  #count = 0;
  #blocks: RowBlocks = { outer: 1, inner: 0 };

  constructor(readonly output: BoundOutput) {}

  /** What a run of this many rows gave. Throws MODEL_FAILED where it lacks rows or scores. */
  take(tensor: OrtTensor, rows: number): void {
    const { dims } = tensor;
    this.#blocks = blocksOf(this.output, dims, rows);
    this.#data = valuesOf(tensor);
    this.#rows = rows;
    this.#count = dims.at(-1) ?? 0;
    if (this.#count === 0 || this.#blocks.inner < this.#count || this.#blocks.outer === 0)
      throw new CabstandError(
        'MODEL_FAILED',
        `output ${this.output.name} has shape [${dims.join(', ')}], expected scores in its last dimension`,
      );
  }

  /** Of the last position of a row. */
  of(row: number): ScoreRange {
    const { outer, inner } = this.#blocks;
    const count = this.#count;
    const offset = ((outer - 1) * this.#rows + row + 1) * inner - count;
    if (this.output.dtype !== 'float16') return { scores: this.#data as Scores, offset, count };
    const bits = (this.#data as Uint16Array).subarray(offset, offset + count);
    return { scores: float16Numbers(bits), offset: 0, count };
  }
}
