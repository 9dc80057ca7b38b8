/** Keys and values of tokens: for each tensor of a cache [heads, columns, size], a column for each token. */
import { Tensor as OrtTensor } from 'onnxruntime-node';
import type { CacheLayout, CacheTensor } from '@cabstand/model';
import { DTYPES } from '@cabstand/tensor';
import type { Block, BlockMemory, Pieces } from '../../../graphs/state-memory';

/** Elements of a cache. float16 elements are their bits. */
export type Elements = Float32Array | Uint16Array;

/** Columns of one row, by tensor of the layout. */
export interface Columns {
  readonly blocks: readonly Block[];
  /** Columns that the blocks have room for. */
  readonly capacity: number;
}

/** Capacities of up to eight of these are multiples of it: a step costs by capacity, and each growth a copy of all. */
const BUCKET = 64;

/** Between capacities: an eighth of them at least, so that what grows on is copied less and less often. */
function stepAt(columns: number): number {
  return BUCKET * 2 ** Math.max(0, Math.floor(Math.log2(columns / (8 * BUCKET))));
}

/** The smallest capacity that holds so many columns. */
export function bucketOf(columns: number): number {
  const step = stepAt(columns);
  return Math.max(1, Math.ceil(columns / step)) * step;
}

/** The largest capacity of no more columns than these; 0: there is none. */
export function bucketWithin(columns: number): number {
  const step = stepAt(columns);
  return Math.floor(columns / step) * step;
}

export function bytesPerToken({ dtype, tensors }: CacheLayout): number {
  let elements = 0;
  for (const { heads, size } of tensors) elements += heads * size;
  return elements * DTYPES[dtype].bytes;
}

export function newElements({ dtype }: CacheLayout, count: number): Elements {
  return dtype === 'float16' ? new Uint16Array(count) : new Float32Array(count);
}

export function cacheTensor(
  { dtype }: CacheLayout,
  data: Elements,
  dims: readonly number[],
): OrtTensor {
  return dtype === 'float16'
    ? new OrtTensor('float16', data as Uint16Array, dims)
    : new OrtTensor('float32', data as Float32Array, dims);
}

/** Where columns of one row are: the row begins at `offset`, and its heads are `capacity` columns apart. */
export interface Place {
  readonly block: Block;
  readonly offset: number;
  readonly capacity: number;
  readonly column: number;
}

/** Copies so many columns of one row of one tensor. */
export function copyColumns(
  memory: BlockMemory,
  { heads, size }: CacheTensor,
  to: Place,
  from: Place,
  count: number,
): void {
  const pieces = ({ block, offset, capacity, column }: Place): Pieces => ({
    block,
    offset: offset + column * size,
    pitch: capacity * size,
  });
  memory.copy(pieces(to), pieces(from), count * size, heads);
}
