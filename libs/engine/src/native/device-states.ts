/**
 * States in the memory of a device. What a step wrote is what the next one reads, and rows go from one batch to another
 * within that memory. They cross to the machine's for snapshots and come from there at the start of a session, or when
 * it is resumed.
 */
import type { Tensor } from 'onnxruntime-node';
import { DTYPES, elementCount } from '@cabstand/tensor';
import type { NumericArray } from '@cabstand/tensor';
import { allocate, fill } from '../graphs/batch-tensor';
import type { BoundState } from '../graphs/bound';
import type { StateBatch, StateElsewhere, StateMemory, StateRow } from '../graphs/state-memory';
import { windowMoves } from '../state/window';
import type { Pieces } from './device';
import { DeviceBlocks } from './device-blocks';
import type { DeviceHeap, DeviceTensor } from './device-tensor';
import { address } from './library';

export class DeviceStates implements StateMemory {
  /** None: memory of a device is dear, and comes at once. */
  readonly keptLayouts = 0;
  readonly blocks: DeviceBlocks;
  readonly #heap: DeviceHeap;

  constructor(heap: DeviceHeap) {
    this.#heap = heap;
    this.blocks = new DeviceBlocks(heap);
  }

  row(state: BoundState): StateRow {
    const row = new DeviceRow(this.#heap, state);
    this.fill(row, state, state.initial);
    return row;
  }

  batch(state: BoundState, rows: number): StateBatch {
    return new DeviceBatch(this.#heap, state, rows);
  }

  fill(row: StateRow, { dtype, shape }: BoundState, value: number): void {
    const array = allocate(dtype, elementCount(shape));
    if (value !== 0) fill(dtype, array, value);
    here(row).held.upload(array);
  }

  write(row: StateRow, bytes: Uint8Array): void {
    here(row).held.upload(bytes);
  }

  read(row: StateRow): NumericArray {
    return here(row).held.data;
  }

  append(from: StateBatch, to: StateBatch, axis: number, written: Tensor): void {
    const [before, after] = [ours(from).held, ours(to).held];
    const [source, target] = [before.place.at, after.place.at];
    const { stay, added, height } = windowMoves(before.dims, axis, written.dims);
    const bytes = DTYPES[before.type].bytes;
    const { device } = this.#heap;
    const pieces = (at: bigint, { pitch, offset }: { pitch: number; offset: number }): Pieces => ({
      at: at + BigInt(offset * bytes),
      pitch: pitch * bytes,
    });
    device.copy(pieces(target, stay.to), pieces(source, stay.from), stay.width * bytes, height);
    const items = written.data as NumericArray;
    if (items.length > 0)
      device.copy(
        pieces(target, added.to),
        pieces(address(items), added.from),
        added.width * bytes,
        height,
      );
  }

  release(row: StateRow): void {
    here(row).release();
  }
}

function here(row: StateRow): DeviceRow {
  if (row instanceof DeviceRow) return row;
  throw new TypeError('a row of another memory');
}

function ours(batch: StateBatch): DeviceBatch {
  if (batch instanceof DeviceBatch) return batch;
  throw new TypeError('a batch of another memory');
}

/** It has memory as long as it has a value. */
class DeviceRow implements StateElsewhere {
  readonly elsewhere = true;
  readonly #heap: DeviceHeap;
  readonly #state: BoundState;
  #held: DeviceTensor | undefined;

  constructor(heap: DeviceHeap, state: BoundState) {
    this.#heap = heap;
    this.#state = state;
  }

  get held(): DeviceTensor {
    this.#held ??= this.#heap.allocate(this.#state.dtype, this.#state.shape);
    return this.#held;
  }

  release(): void {
    this.#held?.release();
    this.#held = undefined;
  }
}

class DeviceBatch implements StateBatch {
  readonly held: DeviceTensor;
  readonly tensor: Tensor;
  readonly #heap: DeviceHeap;
  /** Pieces of a row, which are as many bytes, and so far apart. */
  readonly #height: number;
  readonly #width: number;
  readonly #pitch: number;

  constructor(heap: DeviceHeap, { dtype, shape, batchAxis }: BoundState, rows: number) {
    const dims = shape.map((size, axis) => (axis === batchAxis ? rows : size));
    this.#heap = heap;
    this.held = heap.allocate(dtype, dims);
    this.tensor = this.held.asTensor;
    this.#height = batchAxis === null ? 1 : elementCount(shape.slice(0, batchAxis));
    this.#width = (elementCount(shape) * DTYPES[dtype].bytes) / Math.max(1, this.#height);
    this.#pitch = this.#width * (batchAxis === null ? 1 : rows);
  }

  /** The row is moved: it has no memory of its own any more. */
  writeRow(row: number, source: StateRow): void {
    this.#copy(this.#pieces(row), this.#alone(source));
    here(source).release();
  }

  readRow(row: number, target: StateRow): void {
    this.#copy(this.#alone(target), this.#pieces(row));
  }

  copyRow(row: number, from: StateBatch): void {
    this.#copy(this.#pieces(row), ours(from).#pieces(row));
  }

  release(): void {
    this.held.release();
  }

  #copy(to: Pieces, from: Pieces): void {
    this.#heap.device.copy(to, from, this.#width, this.#height);
  }

  #pieces(row: number): Pieces {
    const { at } = this.held.place;
    return { at: at + BigInt(row * this.#width), pitch: this.#pitch };
  }

  #alone(row: StateRow): Pieces {
    return { at: here(row).held.place.at, pitch: this.#width };
  }
}
