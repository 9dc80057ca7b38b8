/** Tensors in a device's memory. Graphs are given them as they are given others; elements cost a copy. */
import type { Tensor } from 'onnxruntime-node';
import { elementTypeNumber } from '@cabstand/model';
import { DTYPES, elementCount } from '@cabstand/tensor';
import type { DType, NumericArray } from '@cabstand/tensor';
import { allocate } from '../graphs/batch-tensor';
import type { Device, Pieces } from './device';
import { NOBODY, address } from './library';
import type { Pointer } from './library';
import type { Runtime } from './shared';

interface Held {
  /** What ONNX Runtime knows it by. */
  readonly value: Pointer;
  /** Its first byte. */
  readonly at: Pointer;
  readonly bytes: number;
  /** Otherwise it is another tensor's. */
  readonly isOwn: boolean;
}

/** Memory of one device, which a session's allocator hands out. */
export class DeviceHeap {
  readonly device: Device;
  readonly #runtime: Runtime;
  readonly #memory: Pointer;
  readonly #allocator: Pointer;
  /** What nobody let go of, and nobody has. */
  readonly #lost: FinalizationRegistry<Held>;
  #isClosed = false;
  #live = 0;
  #bytes = 0;

  /** @param memory as ONNX Runtime describes it */
  constructor(runtime: Runtime, device: Device, memory: Pointer, allocator: Pointer) {
    this.device = device;
    this.#memory = memory;
    this.#runtime = runtime;
    this.#allocator = allocator;
    this.#lost = new FinalizationRegistry((held) => {
      this.release(held);
    });
  }

  /** Tensors with memory of their own that were made and not released. */
  get live(): number {
    return this.#live;
  }

  /** Bytes of them. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Gives the allocator back, unless somebody still has memory of it. */
  close(): void {
    if (this.#live > 0 || this.#isClosed) return;
    this.#isClosed = true;
    this.#runtime.library.functions.releaseAllocator(this.#allocator);
  }

  /** Elements are whatever they are. */
  allocate(type: DType, dims: readonly number[]): DeviceTensor {
    if (this.#isClosed) throw new Error('the graph was released');
    const { library } = this.#runtime;
    const sizes = BigInt64Array.from(dims, BigInt);
    const value = library.made((out) =>
      library.functions.allocateTensor(
        ...[this.#allocator, sizes, dims.length, elementTypeNumber(type), out],
      ),
    );
    const at = library.made((out) => library.functions.tensorData(value, out));
    const bytes = elementCount(dims) * DTYPES[type].bytes;
    const held = { value, at, bytes, isOwn: true };
    return this.#register(new DeviceTensor(this, type, dims, held), held);
  }

  #register(tensor: DeviceTensor, held: Held): DeviceTensor {
    this.#lost.register(tensor, held, held);
    if (held.isOwn) this.#count(1, held.bytes);
    return tensor;
  }

  #count(tensors: number, bytes: number): void {
    this.#live += tensors;
    this.#bytes += bytes;
  }

  /** Some bytes of another tensor, in place; nothing of it may be used once that is released. */
  view(of: DeviceTensor, type: DType, offset: number, dims: readonly number[]): DeviceTensor {
    const { library } = this.#runtime;
    const sizes = BigInt64Array.from(dims, BigInt);
    const at = of.place.at + BigInt(offset);
    const bytes = elementCount(dims) * DTYPES[type].bytes;
    const value = library.made((out) =>
      library.functions.createTensor(
        ...[this.#memory, at, bytes, sizes, dims.length, elementTypeNumber(type), out],
      ),
    );
    const held = { value, at, bytes, isOwn: false };
    return this.#register(new DeviceTensor(this, type, dims, held, of), held);
  }

  release(held: Held): void {
    this.#lost.unregister(held);
    if (held.isOwn) this.#count(-1, -held.bytes);
    this.#runtime.library.functions.releaseValue(held.value);
  }
}

export class DeviceTensor {
  readonly type: DType;
  readonly dims: readonly number[];
  readonly #heap: DeviceHeap;
  /** Whose memory it lies in. */
  readonly of: DeviceTensor | undefined;
  #held: Held | undefined;

  constructor(
    heap: DeviceHeap,
    type: DType,
    dims: readonly number[],
    held: Held,
    of?: DeviceTensor,
  ) {
    this.of = of;
    this.#heap = heap;
    this.type = type;
    this.dims = dims;
    this.#held = held;
  }

  get place(): Held {
    if (this.#held === undefined) throw new Error('a tensor of a device was released before');
    return this.#held;
  }

  /** A copy: for those few who look at what graphs were given, whatever it is. */
  get data(): NumericArray {
    const array = allocate(this.type, elementCount(this.dims));
    this.download(array);
    return array;
  }

  upload(from: NodeJS.ArrayBufferView): void {
    this.#copy(this.#piece, pieceOf(from));
  }

  download(to: NodeJS.ArrayBufferView): void {
    this.#copy(pieceOf(to), this.#piece);
  }

  release(): void {
    const held = this.#held;
    this.#held = undefined;
    if (held !== undefined) this.#heap.release(held);
  }

  /** As graphs are given tensors: what reads `type`, `dims` or `data` of it finds them. */
  get asTensor(): Tensor {
    return this as unknown as Tensor;
  }

  get #piece(): Pieces {
    const { at, bytes } = this.place;
    return { at, pitch: bytes };
  }

  #copy(to: Pieces, from: Pieces): void {
    this.#heap.device.copy(to, from, this.place.bytes, 1);
  }
}

function pieceOf(array: NodeJS.ArrayBufferView): Pieces {
  return { at: array.byteLength === 0 ? NOBODY : address(array), pitch: array.byteLength };
}
