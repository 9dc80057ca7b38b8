/**
 * Keys and values of several sequences, one row each: for each tensor of the cache [rows, heads, capacity, size] in
 * one piece, so that rows that lie side by side are fed to the graph as they are.
 */
import type { Tensor as OrtTensor } from 'onnxruntime-node';
import type { CacheLayout, CacheTensor } from '@cabstand/model';
import type { Block, BlockMemory } from '../../../graphs/state-memory';
import { HOST_BLOCKS } from '../../../state/host-blocks';
import { bytesPerToken, copyColumns } from './columns';
import type { Columns, Place } from './columns';

export class CacheBuffer {
  readonly #layout: CacheLayout;
  readonly #memory: BlockMemory;
  readonly #blocks: Block[];
  #rows = 0;
  #capacity = 0;

  constructor(layout: CacheLayout, memory: BlockMemory = HOST_BLOCKS) {
    this.#layout = layout;
    this.#memory = memory;
    this.#blocks = layout.tensors.map(() => memory.block(layout.dtype, 0));
  }

  get rows(): number {
    return this.#rows;
  }

  /** Columns of each row. */
  get capacity(): number {
    return this.#capacity;
  }

  get bytes(): number {
    return this.#rows * this.bytesOf(this.#capacity);
  }

  /** Bytes of so many columns of one row. */
  bytesOf(columns: number): number {
    return columns * bytesPerToken(this.#layout);
  }

  /**
   * Makes room for so many rows of so many columns. One tensor after another is copied, so that no more than one of
   * them is there twice.
   *
   * @param lengths columns in use of the rows that stay, from the first on
   */
  resize(rows: number, capacity: number, lengths: readonly number[]): void {
    if (rows === this.#rows && capacity === this.#capacity) return;
    const oldCapacity = this.#capacity;
    this.#layout.tensors.forEach((tensor, index) => {
      const old = this.#blocks[index] as Block;
      const next = this.#new(rows * tensor.heads * capacity * tensor.size);
      lengths.forEach((length, row) => {
        copyColumns(
          ...[this.#memory, tensor],
          placeOf(next, tensor, capacity, row, 0),
          placeOf(old, tensor, oldCapacity, row, 0),
          length,
        );
      });
      this.#blocks[index] = next;
      this.#memory.release(old);
    });
    this.#rows = rows;
    this.#capacity = capacity;
  }

  /** Rows side by side as the graph's inputs, in place. */
  feeds(from: number, count: number): Record<string, OrtTensor> {
    const feeds: Record<string, OrtTensor> = {};
    this.#layout.tensors.forEach(({ past, heads, size }, index) => {
      const dims = [count, heads, this.#capacity, size];
      const offset = from * heads * this.#capacity * size;
      feeds[past] = this.#view(this.#blocks[index] as Block, offset, dims);
    });
    return feeds;
  }

  /** A copy of one row as the graph's inputs. */
  feedsOf({ blocks, capacity: length }: Columns): Record<string, OrtTensor> {
    const feeds: Record<string, OrtTensor> = {};
    this.#layout.tensors.forEach(({ past, heads, size }, index) => {
      const dims = [1, heads, length, size];
      feeds[past] = this.#view(blocks[index] as Block, 0, dims);
    });
    return feeds;
  }

  /** Writes columns of one tensor of a row; they begin at `column`. */
  write(tensor: number, row: number, column: number, from: Place, count: number): void {
    const to = this.#place(tensor, row, column);
    copyColumns(this.#memory, this.#tensor(tensor), to, from, count);
  }

  /** Copies columns of a row, to keep them elsewhere. */
  read(row: number, from: number, to: number): Columns {
    const count = to - from;
    const blocks = this.#layout.tensors.map((tensor, index) => {
      const block = this.#new(tensor.heads * count * tensor.size);
      const target: Place = { block, offset: 0, capacity: count, column: 0 };
      copyColumns(this.#memory, tensor, target, this.#place(index, row, from), count);
      return block;
    });
    return { blocks, capacity: count };
  }

  /** Puts columns that were kept into a row, from `column` on; the first `skip` of them are left out. */
  put(row: number, column: number, { blocks, capacity }: Columns, skip: number, to: number): void {
    blocks.forEach((block, index) =>
      this.write(index, row, column, { block, offset: 0, capacity, column: skip }, to - skip),
    );
  }

  /** Copies the first columns of a row of another buffer, or of this one. */
  copyRow(row: number, from: CacheBuffer, fromRow: number, length: number): void {
    this.#layout.tensors.forEach((_, index) =>
      this.write(index, row, 0, from.#place(index, fromRow, 0), length),
    );
  }

  /** Puts zeros into all columns of a row. */
  clear(row: number): void {
    this.#layout.tensors.forEach(({ heads, size }, index) => {
      const length = heads * this.#capacity * size;
      this.#memory.clear(this.#blocks[index] as Block, row * length, (row + 1) * length);
    });
  }

  swap(a: number, b: number, lengths: { readonly a: number; readonly b: number }): void {
    const kept = this.read(a, 0, lengths.a);
    this.copyRow(a, this, b, lengths.b);
    this.put(b, 0, kept, 0, lengths.a);
    this.forget(kept);
  }

  /** Gives up columns that were kept elsewhere. */
  forget({ blocks }: Columns): void {
    for (const block of blocks) this.#memory.release(block);
  }

  /** No row of it is used any more. */
  release(): void {
    for (const block of this.#blocks) this.#memory.release(block);
  }

  #new(count: number): Block {
    return this.#memory.block(this.#layout.dtype, count);
  }

  #view(block: Block, offset: number, dims: readonly number[]): OrtTensor {
    return this.#memory.view(block, this.#layout.dtype, offset, dims);
  }

  #tensor(index: number): CacheTensor {
    return this.#layout.tensors[index] as CacheTensor;
  }

  #place(index: number, row: number, column: number): Place {
    const block = this.#blocks[index] as Block;
    return placeOf(block, this.#tensor(index), this.#capacity, row, column);
  }
}

function placeOf(
  block: Block,
  { heads, size }: CacheTensor,
  capacity: number,
  row: number,
  column: number,
): Place {
  return { block, offset: row * heads * capacity * size, capacity, column };
}
