/**
 * Keys and values of several sequences, one row each: for each tensor of the cache [rows, heads, capacity, size] in
 * one piece, so that rows that lie side by side are fed to the graph as they are.
 */
import type { Tensor as OrtTensor } from 'onnxruntime-node';
import type { CacheLayout, CacheTensor } from '@cabstand/model';
import { bytesPerToken, cacheTensor, copyColumns, newElements } from './columns';
import type { Columns, Elements, Place } from './columns';

export class CacheBuffer {
  readonly #layout: CacheLayout;
  readonly #arrays: Elements[];
  #rows = 0;
  #capacity = 0;

  constructor(layout: CacheLayout) {
    this.#layout = layout;
    this.#arrays = layout.tensors.map(() => newElements(layout, 0));
  }

  get rows(): number {
    return this.#rows;
  }

  /** Columns of each row. */
  get capacity(): number {
    return this.#capacity;
  }

  get bytes(): number {
    return this.#arrays.reduce((sum, { byteLength }) => sum + byteLength, 0);
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
      const old = this.#arrays[index] as Elements;
      const next = newElements(this.#layout, rows * tensor.heads * capacity * tensor.size);
      lengths.forEach((length, row) => {
        copyColumns(
          tensor,
          placeOf(next, tensor, capacity, row, 0),
          placeOf(old, tensor, oldCapacity, row, 0),
          length,
        );
      });
      this.#arrays[index] = next;
    });
    this.#rows = rows;
    this.#capacity = capacity;
  }

  /** Rows side by side as the graph's inputs, in place. */
  feeds(from: number, count: number): Record<string, OrtTensor> {
    const feeds: Record<string, OrtTensor> = {};
    this.#layout.tensors.forEach(({ past, heads, size }, index) => {
      const row = heads * this.#capacity * size;
      const view = (this.#arrays[index] as Elements).subarray(from * row, (from + count) * row);
      feeds[past] = cacheTensor(this.#layout, view, [count, heads, this.#capacity, size]);
    });
    return feeds;
  }

  /** One row as the graph's inputs, a copy as long as its columns in use. */
  exactFeeds(row: number, length: number): Record<string, OrtTensor> {
    const { arrays } = this.read(row, 0, length);
    const feeds: Record<string, OrtTensor> = {};
    this.#layout.tensors.forEach(({ past, heads, size }, index) => {
      const dims = [1, heads, length, size];
      feeds[past] = cacheTensor(this.#layout, arrays[index] as Elements, dims);
    });
    return feeds;
  }

  /** Writes columns of one tensor of a row; they begin at `column`. */
  write(tensor: number, row: number, column: number, from: Place, count: number): void {
    copyColumns(this.#tensor(tensor), this.#place(tensor, row, column), from, count);
  }

  /** Copies columns of a row, to keep them elsewhere. */
  read(row: number, from: number, to: number): Columns {
    const count = to - from;
    const arrays = this.#layout.tensors.map((tensor, index) => {
      const array = newElements(this.#layout, tensor.heads * count * tensor.size);
      const target: Place = { array, offset: 0, capacity: count, column: 0 };
      copyColumns(tensor, target, this.#place(index, row, from), count);
      return array;
    });
    return { arrays, capacity: count };
  }

  /** Puts columns that were kept into a row, from `column` on; the first `skip` of them are left out. */
  put(row: number, column: number, { arrays, capacity }: Columns, skip: number, to: number): void {
    arrays.forEach((array, index) =>
      this.write(index, row, column, { array, offset: 0, capacity, column: skip }, to - skip),
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
      this.#arrays[index]?.fill(0, row * length, (row + 1) * length);
    });
  }

  swap(a: number, b: number, lengths: { readonly a: number; readonly b: number }): void {
    const kept = this.read(a, 0, lengths.a);
    this.copyRow(a, this, b, lengths.b);
    this.put(b, 0, kept, 0, lengths.a);
  }

  #tensor(index: number): CacheTensor {
    return this.#layout.tensors[index] as CacheTensor;
  }

  #place(index: number, row: number, column: number): Place {
    const array = this.#arrays[index] as Elements;
    return placeOf(array, this.#tensor(index), this.#capacity, row, column);
  }
}

function placeOf(
  array: Elements,
  { heads, size }: CacheTensor,
  capacity: number,
  row: number,
  column: number,
): Place {
  return { array, offset: row * heads * capacity * size, capacity, column };
}
