/** Putting rows of several callers together along an axis, and taking them apart again. */
import { elementCount } from '@cabstand/tensor';
import type { DType, NumericArray } from '@cabstand/tensor';
import { allocate, bytesOf } from './batch-tensor';
import { stringTensorBytes, tensorPrefix } from '../output/step-writer';
import type { StepWriter } from '../output/step-writer';

/** Elements of a tensor. */
export type Values = NumericArray | readonly string[];

export interface RowRange {
  readonly values: Values;
  /** Rows in `values`. */
  readonly rows: number;
  readonly from: number;
  readonly count: number;
}

/** One tensor of all ranges. A single range of all its rows is used in place. */
export function joinRows(
  dtype: DType,
  dims: readonly number[],
  axis: number,
  ranges: readonly RowRange[],
): Values {
  const [only] = ranges;
  if (only !== undefined && ranges.length === 1 && only.count === only.rows) return only.values;
  const outer = elementCount(dims.slice(0, axis));
  const inner = elementCount(dims.slice(axis + 1));
  const total = dims[axis] ?? 1;
  const joined = newValues(dtype, elementCount(dims));
  let row = 0;
  for (const { values, rows, from, count } of ranges) {
    for (let block = 0; block < outer; block += 1)
      copyValues(
        joined,
        (block * total + row) * inner,
        values,
        (block * rows + from) * inner,
        count * inner,
      );
    row += count;
  }
  return joined;
}

/** The rows of each caller; views where rows are contiguous. */
export function splitRows(
  values: Values,
  dtype: DType,
  dims: readonly number[],
  axis: number,
  counts: readonly number[],
): Values[] {
  const outer = elementCount(dims.slice(0, axis));
  const inner = elementCount(dims.slice(axis + 1));
  const total = dims[axis] ?? 1;
  let row = 0;
  return counts.map((count) => {
    const from = row;
    row += count;
    if (outer === 1) return cut(values, from * inner, (from + count) * inner);
    const part = newValues(dtype, outer * count * inner);
    for (let block = 0; block < outer; block += 1)
      copyValues(
        part,
        block * count * inner,
        values,
        (block * total + from) * inner,
        count * inner,
      );
    return part;
  });
}

/** Writes one output tensor of a chunk from the pieces that several runs made. */
export function writeResult(
  out: StepWriter,
  name: string,
  dtype: DType,
  dims: readonly number[],
  batchAxis: number | null,
  pieces: readonly { values: Values; rows: number }[],
): void {
  const [only] = pieces;
  if (only === undefined) return;
  const rows = pieces.reduce((sum, piece) => sum + piece.rows, 0);
  const shape = batchAxis === null ? dims : dims.with(batchAxis, rows);
  const values =
    pieces.length === 1
      ? only.values
      : joinRows(
          dtype,
          shape,
          batchAxis ?? 0,
          pieces.map((piece) => ({ ...piece, from: 0, count: piece.rows })),
        );
  if (isStrings(values)) {
    const bytes = stringTensorBytes(name, shape, values);
    out.tensor(bytes, NOTHING, 0, 0);
    return;
  }
  const bytes = bytesOf(values);
  out.tensor(tensorPrefix(name, dtype, shape, bytes.length), bytes, 0, bytes.length);
}

const NOTHING = new Uint8Array(0);

function isStrings(values: Values): values is readonly string[] {
  return Array.isArray(values);
}

function newValues(dtype: DType, count: number): Values {
  return dtype === 'string' ? Array.from({ length: count }, () => '') : allocate(dtype, count);
}

function cut(values: Values, start: number, end: number): Values {
  return isStrings(values) ? values.slice(start, end) : values.subarray(start, end);
}

function copyValues(target: Values, at: number, source: Values, from: number, count: number): void {
  if (isStrings(source)) {
    const strings = target as string[];
    for (let index = 0; index < count; index += 1) strings[at + index] = source[from + index] ?? '';
    return;
  }
  (target as Float32Array).set(source.subarray(from, from + count) as Float32Array, at);
}
