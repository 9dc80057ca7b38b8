/** Blocks of elements in JavaScript's memory. */
import { Tensor } from 'onnxruntime-node';
import { elementCount } from '@cabstand/tensor';
import type { DType, NumericArray } from '@cabstand/tensor';
import { allocate, copyAt, slice } from '../graphs/batch-tensor';
import type { Block, BlockMemory, Pieces } from '../graphs/state-memory';

export const HOST_BLOCKS: BlockMemory = {
  block: (dtype: DType, count: number): NumericArray => allocate(dtype, count),
  copy: (to: Pieces, from: Pieces, width: number, height: number): void => {
    const [target, source] = [to.block as NumericArray, from.block as NumericArray];
    for (let piece = 0; piece < height; piece += 1)
      copyAt(
        target,
        slice(source, from.offset + piece * from.pitch, width),
        to.offset + piece * to.pitch,
      );
  },
  clear: (block: Block, from: number, to: number): void => {
    (block as Float32Array).fill(0, from, to);
  },
  view: (block: Block, dtype: DType, offset: number, dims: readonly number[]): Tensor => {
    const elements = slice(block as NumericArray, offset, elementCount(dims));
    return new Tensor(dtype, elements as Float32Array, dims);
  },
  // The garbage collector does.
  release: () => undefined,
};
