/**
 * A graph that ONNX Runtime runs in the memory of a device, by its I/O binding: what is there already is read and
 * written where it is, only the rest crosses, by memory of the machine that the device copies from and to by itself.
 */
import { Tensor as OrtTensor } from 'onnxruntime-node';
import type { Tensor } from 'onnxruntime-node';
import { elementCount, isDType } from '@cabstand/tensor';
import { allocate } from '../graphs/batch-tensor';
import type { Fetches, GraphSession, Tensors } from '../graphs/graph-session';
import type { Device } from './device';
import { DeviceStates } from './device-states';
import { DeviceHeap, DeviceTensor } from './device-tensor';
import { ExpectedTime } from './expected-time';
import { NOBODY, text } from './library';
import type { Pointer } from './library';
import { LONG_MS, loadGraph } from './load-graph';
import type { NativeOptions } from './load-graph';
import { metadataOf, shapeOf } from './metadata';
import type { Metadata } from './metadata';
import type { Runtime } from './shared';
import { wantedOf } from './wanted';
import type { Used, Wanted } from './wanted';

const [ARENA, DEFAULT_MEMORY, FIRST_DEVICE] = [1, 0, 0];

export class DeviceSession implements GraphSession {
  readonly calledBy = 'io-binding';
  readonly inputMetadata: readonly Metadata[];
  readonly outputMetadata: readonly Metadata[];
  /** Where states lie. */
  readonly memory: DeviceStates;
  /** Memory of the device that is in use. */
  readonly heap: DeviceHeap;
  readonly #runtime: Runtime;
  readonly #device: Device;
  /** Where inputs wait to be copied, by their names: kept for runs of the same shapes. */
  readonly #waiting = new Map<string, DeviceTensor>();
  readonly #pinnedHeap: DeviceHeap;
  readonly #pinned: Pointer;
  readonly #binding: Pointer;
  readonly #names = new Map<string, Buffer>();
  readonly #expected: ExpectedTime;
  #session: Pointer;
  /** By the run in progress: what lies in another tensor's memory would not keep that. */
  #used: Used | undefined;
  /** The run in progress: never rejects. */
  #running: Promise<void> | undefined;

  private constructor(runtime: Runtime, device: Device, session: Pointer, longMs: number) {
    const { library } = runtime;
    const { functions } = library;
    this.#runtime = runtime;
    this.#device = device;
    this.#session = session;
    this.#expected = new ExpectedTime(longMs);
    this.inputMetadata = metadataOf(runtime, session, 'input');
    this.outputMetadata = metadataOf(runtime, session, 'output');
    for (const { name } of [...this.inputMetadata, ...this.outputMetadata])
      this.#names.set(name, text(name));
    const memoryOf = (name: string): Pointer =>
      library.made((out) => functions.memoryInfo(name, ARENA, FIRST_DEVICE, DEFAULT_MEMORY, out));
    const heapOf = (memory: Pointer): DeviceHeap =>
      new DeviceHeap(
        ...[runtime, device, memory],
        library.made((out) => functions.createAllocator(session, memory, out)),
      );
    this.heap = heapOf(memoryOf(device.memory));
    this.#pinned = memoryOf(device.pinned);
    this.#pinnedHeap = heapOf(this.#pinned);
    this.memory = new DeviceStates(this.heap);
    this.#binding = library.made((out) => functions.createBinding(session, out));
  }

  /**
   * @param bytes to be loaded in place of what is in the file; weights outside it are sought beside it
   * @throws Error where ONNX Runtime does not take it, or where it has inputs or outputs that are not numbers.
   */
  static async open(
    runtime: Runtime,
    device: Device,
    file: string,
    { threads, longMs = LONG_MS }: NativeOptions,
    bytes?: Uint8Array,
  ): Promise<DeviceSession> {
    const session = await loadGraph(runtime, file, threads, bytes, (options) => {
      device.provide(options);
    });
    try {
      return new DeviceSession(runtime, device, session, longMs);
    } catch (error) {
      runtime.library.functions.releaseSession(session);
      throw error;
    }
  }

  async run(feeds: Tensors, fetches: Fetches): Promise<Tensors> {
    while (this.#running !== undefined) await this.#running;
    const running = this.#run(feeds, wantedOf(fetches));
    const over = (): void => {
      this.#running = undefined;
    };
    this.#running = running.then(over, over);
    return await running;
  }

  async #run(feeds: Tensors, wanted: readonly Wanted[]): Promise<Tensors> {
    const { library } = this.#runtime;
    const { functions } = library;
    if (this.#session === NOBODY) throw new Error('the graph was released');
    const begun = performance.now();
    this.#used = { feeds, wanted };
    try {
      this.#bind(this.#used);
      await this.#call();
      library.check(functions.awaitOutputs(this.#binding));
      return this.#taken(wanted);
    } finally {
      this.#expected.tookSince(begun);
      // It would keep what was bound.
      functions.clearInputs(this.#binding);
      functions.clearOutputs(this.#binding);
      this.#used = undefined;
    }
  }

  async release(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
    const session = this.#session;
    this.#session = NOBODY;
    if (session === NOBODY) return;
    const { functions } = this.#runtime.library;
    for (const tensor of this.#waiting.values()) tensor.release();
    functions.releaseBinding(this.#binding);
    for (const heap of [this.heap, this.#pinnedHeap]) heap.close();
    functions.releaseSession(session);
  }

  #bind({ feeds, wanted }: Used): void {
    const { library } = this.#runtime;
    const { functions } = library;
    this.#device.settle();
    for (const { name } of this.inputMetadata) {
      const tensor = feeds[name];
      if (tensor === undefined) throw new Error(`input '${name}' is missing`);
      const { value } = (there(tensor) ?? this.#wait(name, tensor)).place;
      // Bound anew for each run, as a device is given a copy of what stands there now.
      library.check(functions.bindInput(this.#binding, this.#nameOf(name), value));
    }
    for (const [name, tensor] of wanted) {
      const held = tensor === null ? undefined : there(tensor);
      library.check(
        held === undefined
          ? functions.bindOutputTo(this.#binding, this.#nameOf(name), this.#pinned)
          : functions.bindOutput(this.#binding, this.#nameOf(name), held.place.value),
      );
    }
    library.check(functions.awaitInputs(this.#binding));
  }

  /** Puts an input where the device fetches it from. */
  #wait(name: string, { type, dims, data }: Tensor): DeviceTensor {
    if (!isDType(type) || type === 'string')
      throw new Error(`a tensor of ${type} is not one of numbers`);
    let waiting = this.#waiting.get(name);
    const isSame =
      waiting?.type === type &&
      waiting.dims.length === dims.length &&
      waiting.dims.every((size, axis) => size === dims[axis]);
    if (waiting === undefined || !isSame) {
      waiting?.release();
      waiting = this.#pinnedHeap.allocate(type, dims);
      this.#waiting.set(name, waiting);
    }
    const { at, bytes } = waiting.place;
    this.#runtime.library.move(at, data as Float32Array, bytes);
    return waiting;
  }

  async #call(): Promise<void> {
    const { library, quiet } = this.#runtime;
    const { runBound } = library.functions;
    if (!this.#expected.isLong) {
      library.check(runBound(this.#session, quiet, this.#binding));
      return;
    }
    await library.later((finished) => {
      runBound.async(this.#session, quiet, this.#binding, finished);
    });
  }

  /** What was bound is as it was wanted; copies of all else. */
  #taken(wanted: readonly Wanted[]): Tensors {
    const { library, allocator } = this.#runtime;
    const { functions } = library;
    const [list, count] = [new BigUint64Array(1), new BigUint64Array(1)];
    library.check(functions.boundOutputs(this.#binding, allocator, list, count));
    const at = list[0] as Pointer;
    const values = new BigUint64Array(Number(count[0]));
    library.copy(at, values);
    library.check(functions.free(allocator, at));
    const results: Record<string, Tensor> = {};
    try {
      wanted.forEach(([name, tensor], index) => {
        const isThere = tensor !== null && there(tensor) !== undefined;
        results[name] = isThere ? tensor : this.#copied(values[index] as Pointer, tensor);
      });
    } finally {
      for (const value of values) functions.releaseValue(value);
    }
    return results;
  }

  #copied(value: Pointer, into: Tensor | null): Tensor {
    const { library } = this.#runtime;
    const { functions } = library;
    const info = library.made((out) => functions.tensorInfo(value, out));
    try {
      const { type, dims } = shapeOf(library, info);
      const fits = into?.type === type && String(into.dims) === String(dims);
      if (into !== null && !fits)
        throw new Error(`an output has shape [${String(dims)}], not [${String(into.dims)}]`);
      const array = (into?.data ?? allocate(type, elementCount(dims))) as Float32Array;
      library.copy(
        library.made((out) => functions.tensorData(value, out)),
        array,
      );
      return into ?? new OrtTensor(type, array, dims);
    } finally {
      functions.releaseTensorInfo(info);
    }
  }

  #nameOf(name: string): Buffer {
    const known = this.#names.get(name);
    if (known === undefined) throw new Error(`the graph has no '${name}'`);
    return known;
  }
}

/** The tensor as the device has it; undefined: it is JavaScript's. */
function there(tensor: Tensor): DeviceTensor | undefined {
  const any: unknown = tensor;
  return any instanceof DeviceTensor ? any : undefined;
}
