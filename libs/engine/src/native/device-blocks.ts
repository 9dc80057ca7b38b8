/** Blocks of elements in the memory of a device. */
import type { Tensor } from 'onnxruntime-node';
import { DTYPES } from '@cabstand/tensor';
import type { DType, NumericArray } from '@cabstand/tensor';
import type { Block, BlockMemory, Pieces, StateElsewhere } from '../graphs/state-memory';
import type { DeviceHeap, DeviceTensor } from './device-tensor';
import { NOBODY, address } from './library';
import type { Pointer } from './library';

export class DeviceBlocks implements BlockMemory {
  readonly #heap: DeviceHeap;

  constructor(heap: DeviceHeap) {
    this.#heap = heap;
  }

  block(dtype: DType, count: number): Block {
    const block = new DeviceBlock(this.#heap.allocate(dtype, [count]));
    this.clear(block, 0, count);
    return block;
  }

  copy(to: Pieces, from: Pieces, width: number, height: number): void {
    if (width === 0 || height === 0) return;
    const bytes = bytesOf(to.block);
    const place = ({ block, offset, pitch }: Pieces): { at: Pointer; pitch: number } => ({
      at: addressOf(block) + BigInt(offset * bytes),
      pitch: pitch * bytes,
    });
    this.#heap.device.copy(place(to), place(from), width * bytes, height);
  }

  clear(block: Block, from: number, to: number): void {
    const bytes = bytesOf(block);
    this.#heap.device.clear(addressOf(block) + BigInt(from * bytes), (to - from) * bytes);
  }

  view(block: Block, dtype: DType, offset: number, dims: readonly number[]): Tensor {
    const { held } = here(block);
    return this.#heap.view(held, dtype, offset * DTYPES[dtype].bytes, dims).asTensor;
  }

  release(block: Block): void {
    here(block).held.release();
  }
}

class DeviceBlock implements StateElsewhere {
  readonly elsewhere = true;

  constructor(readonly held: DeviceTensor) {}
}

function here(block: Block): DeviceBlock {
  if (block instanceof DeviceBlock) return block;
  throw new TypeError('a block of another memory');
}

const isArray = (block: Block): block is NumericArray => !('elsewhere' in block);

function bytesOf(block: Block): number {
  return isArray(block) ? block.BYTES_PER_ELEMENT : DTYPES[here(block).held.type].bytes;
}

function addressOf(block: Block): Pointer {
  if (!isArray(block)) return here(block).held.place.at;
  return block.byteLength === 0 ? NOBODY : address(block);
}
