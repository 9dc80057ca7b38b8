/** States that are windows: what a graph writes is appended, and the oldest items fall out in front. */
import type { Tensor as OrtTensor } from 'onnxruntime-node';
import { CabstandError } from '@cabstand/core';
import { elementCount } from '@cabstand/tensor';
import type { NumericArray } from '@cabstand/tensor';
import type { BatchTensor } from '../graphs/batch-tensor';
import { copyAt, slice } from '../graphs/batch-tensor';

/**
 * Fills `to` with the newest items of `from` and what was written behind them. All rows of a run are
 * moved at once: they have written equally many items.
 *
 * @param axis of the window; not that of the rows
 * @throws CabstandError MODEL_FAILED where the shapes differ at another axis.
 */
export function appendToWindow(
  from: BatchTensor,
  to: BatchTensor,
  axis: number,
  written: OrtTensor,
): void {
  const { dims } = from.tensor;
  const items = written.dims[axis] ?? 0;
  const fits =
    written.dims.length === dims.length &&
    written.dims.every((size, other) => other === axis || size === dims[other]);
  if (!fits)
    throw new CabstandError(
      'MODEL_FAILED',
      `items of shape [${written.dims.join(', ')}] are written to a window of shape [${dims.join(', ')}] along axis ${axis}`,
    );
  const size = dims[axis] ?? 0;
  const outer = elementCount(dims.slice(0, axis));
  const inner = elementCount(dims.slice(axis + 1));
  const added = Math.min(size, items);
  const stay = (size - added) * inner;
  const data = written.data as NumericArray;
  for (let block = 0; block < outer; block += 1) {
    const start = block * size * inner;
    copyAt(to.array, slice(from.array, start + added * inner, stay), start);
    const newest = (block * items + items - added) * inner;
    copyAt(to.array, slice(data, newest, added * inner), start + stay);
  }
}
