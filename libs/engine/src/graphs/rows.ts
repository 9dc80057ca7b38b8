/** Putting rows of several callers together along an axis, and taking them apart again. */
import type { Tensor as OrtTensor } from 'onnxruntime-node';
import { elementCount } from '@cabstand/tensor';
import type { DType, NumericArray } from '@cabstand/tensor';
import { allocate } from './batch-tensor';

/** Elements of a tensor. float16 elements are their bits. */
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

/** Some rows of a tensor: a view where they are contiguous, otherwise a copy. */
export function sliceRows(
  values: Values,
  dtype: DType,
  dims: readonly number[],
  axis: number,
  from: number,
  count: number,
): Values {
  const outer = elementCount(dims.slice(0, axis));
  const inner = elementCount(dims.slice(axis + 1));
  if (outer === 1) return cut(values, from * inner, (from + count) * inner);
  const total = dims[axis] ?? 1;
  const part = newValues(dtype, outer * count * inner);
  for (let block = 0; block < outer; block += 1)
    copyValues(part, block * count * inner, values, (block * total + from) * inner, count * inner);
  return part;
}

/** A run's elements. Where JavaScript has float16 arrays ONNX Runtime gives those: their bits are meant. */
export function valuesOf({ type, data }: OrtTensor): Values {
  const values = data as Values;
  if (type !== 'float16' || isStrings(values) || values instanceof Uint16Array) return values;
  return new Uint16Array(values.buffer, values.byteOffset, values.length);
}

export function isStrings(values: Values): values is readonly string[] {
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
