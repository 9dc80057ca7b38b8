/** States in JavaScript's memory: arrays, which ONNX Runtime reads and writes where they are. */
import type { Tensor } from 'onnxruntime-node';
import { elementCount } from '@cabstand/tensor';
import type { NumericArray } from '@cabstand/tensor';
import { BatchTensor, allocate, bytesOf, fill } from '../graphs/batch-tensor';
import type { BoundState } from '../graphs/bound';
import type { StateBatch, StateMemory, StateRow } from '../graphs/state-memory';
import { HOST_BLOCKS } from './host-blocks';
import { appendToWindow } from './window';
import type { WindowRows } from './window';

/** The garbage collector frees what nobody has any more. */
const NOTHING_TO_DO = (): void => undefined;

export const HOST_MEMORY: StateMemory = {
  keptLayouts: 16,
  blocks: HOST_BLOCKS,
  row: ({ dtype, shape, initial }: BoundState): NumericArray => {
    const array = allocate(dtype, elementCount(shape));
    if (initial !== 0) fill(dtype, array, initial);
    return array;
  },
  batch: ({ dtype, shape, batchAxis }: BoundState, rows: number): BatchTensor =>
    new BatchTensor(dtype, shape, batchAxis, rows),
  fill: (row: StateRow, { dtype }: BoundState, value: number): void => {
    fill(dtype, row as NumericArray, value);
  },
  write: (row: StateRow, bytes: Uint8Array): void => {
    bytesOf(row as NumericArray).set(bytes);
  },
  read: (row: StateRow): NumericArray => row as NumericArray,
  append: (from: StateBatch, to: StateBatch, axis: number, written: Tensor): void => {
    // They are this memory's own.
    appendToWindow(from as StateBatch & WindowRows, to as StateBatch & WindowRows, axis, written);
  },
  release: NOTHING_TO_DO,
};
