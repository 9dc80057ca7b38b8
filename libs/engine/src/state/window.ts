/** States that are windows: what a graph writes is appended, and the oldest items fall out in front. */
import type { Tensor as OrtTensor } from 'onnxruntime-node';
import { CabstandError } from '@cabstand/core';
import { elementCount } from '@cabstand/tensor';
import type { NumericArray } from '@cabstand/tensor';
import { copyAt, slice } from '../graphs/batch-tensor';

/** All rows of a window, in an array. */
export interface WindowRows {
  readonly array: NumericArray;
  readonly tensor: OrtTensor;
}

/** Equal pieces of elements: where the first begins, and how far apart they are. */
interface Stretch {
  readonly offset: number;
  readonly pitch: number;
}

interface Move {
  readonly from: Stretch;
  readonly to: Stretch;
  /** Elements of each piece. */
  readonly width: number;
}

/** What is copied where a window goes on: `stay` of the window as it was, `added` of what was written. */
interface WindowMoves {
  readonly stay: Move;
  readonly added: Move;
  /** Pieces of each. */
  readonly height: number;
}

/**
 * All rows of a run are moved at once: they have written equally many items.
 *
 * @param dims of the window
 * @param axis of the window; not that of the rows
 * @throws CabstandError MODEL_FAILED where the shapes differ at another axis.
 */
export function windowMoves(
  dims: readonly number[],
  axis: number,
  written: readonly number[],
): WindowMoves {
  const items = written[axis] ?? 0;
  const fits =
    written.length === dims.length &&
    written.every((size, other) => other === axis || size === dims[other]);
  if (!fits)
    throw new CabstandError(
      'MODEL_FAILED',
      `items of shape [${written.join(', ')}] are written to a window of shape [${dims.join(', ')}] along axis ${axis}`,
    );
  const size = dims[axis] ?? 0;
  const inner = elementCount(dims.slice(axis + 1));
  const added = Math.min(size, items) * inner;
  const stay = size * inner - added;
  const pitch = size * inner;
  return {
    stay: { from: { offset: added, pitch }, to: { offset: 0, pitch }, width: stay },
    added: {
      from: { offset: items * inner - added, pitch: items * inner },
      to: { offset: stay, pitch },
      width: added,
    },
    height: elementCount(dims.slice(0, axis)),
  };
}

/**
 * Fills `to` with the newest items of `from` and what was written behind them.
 *
 * @throws CabstandError MODEL_FAILED where the shapes differ at another axis.
 */
export function appendToWindow(
  from: WindowRows,
  to: WindowRows,
  axis: number,
  written: OrtTensor,
): void {
  const { stay, added, height } = windowMoves(from.tensor.dims, axis, written.dims);
  const data = written.data as NumericArray;
  for (let piece = 0; piece < height; piece += 1)
    for (const [source, move] of [
      [from.array, stay],
      [data, added],
    ] as const)
      copyAt(
        to.array,
        slice(source, move.from.offset + piece * move.from.pitch, move.width),
        move.to.offset + piece * move.to.pitch,
      );
}
