/**
 * Where states lie between steps: in JavaScript's memory, or in a device's, where nobody but that memory knows what a
 * value is.
 */
import type { Tensor } from 'onnxruntime-node';
import type { DType, NumericArray } from '@cabstand/tensor';
import type { BoundState } from './bound';

/** The value of a state of one sequence that is in no batch. */
export type StateRow = NumericArray | StateElsewhere;

export interface StateElsewhere {
  /** Elements are not to be had without a copy. */
  readonly elsewhere: true;
}

/** Elements side by side. An array, where it is to be copied to or from, is one in any memory. */
export type Block = NumericArray | StateElsewhere;

/** Equal pieces of a block: where the first begins, and how far apart they are, in elements. */
export interface Pieces {
  readonly block: Block;
  readonly offset: number;
  readonly pitch: number;
}

/** Memory for what has a layout of its own, such as caches of keys and values. */
export interface BlockMemory {
  /** Zeros. */
  block(dtype: DType, count: number): Block;
  /** Copies `height` pieces of `width` elements. */
  copy(to: Pieces, from: Pieces, width: number, height: number): void;
  /** Puts zeros into some elements. */
  clear(block: Block, from: number, to: number): void;
  /** Some elements as a graph reads and writes them, in place, as long as the block is not released. */
  view(block: Block, dtype: DType, offset: number, dims: readonly number[]): Tensor;
  release(block: Block): void;
}

/** A state of all sequences of a batch, as graphs read and write it. */
export interface StateBatch {
  readonly tensor: Tensor;
  writeRow(row: number, source: StateRow): void;
  readRow(row: number, target: StateRow): void;
  /** Takes over a row of another batch of the same memory, state and size. */
  copyRow(row: number, from: StateBatch): void;
  /** Nobody uses it any more. */
  release(): void;
}

/** Rows and batches of one memory are used with one another only. */
export interface StateMemory {
  readonly blocks: BlockMemory;
  /** Layouts that nobody is in and that are kept for the next ones, with all that they hold. */
  readonly keptLayouts: number;
  /** With the state's initial value. */
  row(state: BoundState): StateRow;
  /** Rows of whatever value. */
  batch(state: BoundState, rows: number): StateBatch;
  fill(row: StateRow, state: BoundState, value: number): void;
  /** From bytes as snapshots have them. */
  write(row: StateRow, bytes: Uint8Array): void;
  /** The elements; they stay what they are until the row is used for something else. */
  read(row: StateRow): NumericArray;
  /** Fills `to` with the newest items of `from` and what was written behind them: `appendToWindow`. */
  append(from: StateBatch, to: StateBatch, axis: number, written: Tensor): void;
  release(row: StateRow): void;
}
