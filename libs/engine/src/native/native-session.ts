/**
 * A graph that ONNX Runtime runs through its C API. Outputs that are fetched into memory of ours are written there and
 * not copied, as the Node binding does; long runs do not hold the event loop up.
 */
import { Tensor as OrtTensor } from 'onnxruntime-node';
import type { Tensor } from 'onnxruntime-node';
import { elementCount } from '@cabstand/tensor';
import { allocate } from '../graphs/batch-tensor';
import type { Fetches, GraphSession, Tensors } from '../graphs/graph-session';
import { ExpectedTime } from './expected-time';
import { NOBODY, address, text } from './library';
import type { Cell, Pointer } from './library';
import { LONG_MS, loadGraph } from './load-graph';
import type { NativeOptions } from './load-graph';
import { metadataOf, shapeOf } from './metadata';
import type { Metadata } from './metadata';
import type { Runtime } from './shared';
import { wantedOf } from './wanted';
import type { Used } from './wanted';

export class NativeSession implements GraphSession {
  readonly calledBy = 'c-api';
  readonly inputMetadata: readonly Metadata[];
  readonly outputMetadata: readonly Metadata[];
  readonly #runtime: Runtime;
  #session: Pointer;
  /** Names as C has them, kept where they are. */
  readonly #names = new Map<string, { readonly text: Buffer; readonly address: Pointer }>();
  readonly #inputNames: Cell;
  readonly #inputs: Cell;
  readonly #outputNames: Cell;
  readonly #outputs: Cell;
  readonly #expected: ExpectedTime;
  /** By the run in progress. ONNX Runtime has addresses only: nobody else may keep what is there. */
  #used: Used | undefined;
  /** A run on another thread: never rejects. */
  #running: Promise<void> | undefined;

  private constructor(runtime: Runtime, session: Pointer, longMs: number) {
    this.#runtime = runtime;
    this.#expected = new ExpectedTime(longMs);
    this.#session = session;
    this.inputMetadata = metadataOf(runtime, session, 'input');
    this.outputMetadata = metadataOf(runtime, session, 'output');
    for (const { name } of [...this.inputMetadata, ...this.outputMetadata]) {
      const bytes = text(name);
      this.#names.set(name, { text: bytes, address: address(bytes) });
    }
    this.#inputs = new BigUint64Array(this.inputMetadata.length);
    this.#inputNames = BigUint64Array.from(this.inputMetadata, ({ name }) => this.#nameOf(name));
    this.#outputs = new BigUint64Array(this.outputMetadata.length);
    this.#outputNames = new BigUint64Array(this.outputMetadata.length);
  }

  /**
   * @param bytes to be loaded in place of what is in the file; weights outside it are sought beside it
   * @throws Error where ONNX Runtime does not take it, or where it has inputs or outputs that are not numbers.
   */
  static async open(
    runtime: Runtime,
    file: string,
    { threads, longMs = LONG_MS }: NativeOptions,
    bytes?: Uint8Array,
  ): Promise<NativeSession> {
    const session = await loadGraph(runtime, file, threads, bytes);
    try {
      return new NativeSession(runtime, session, longMs);
    } catch (error) {
      runtime.library.functions.releaseSession(session);
      throw error;
    }
  }

  async run(feeds: Tensors, fetches: Fetches): Promise<Tensors> {
    while (this.#running !== undefined) await this.#running;
    const wanted = wantedOf(fetches);
    this.#used = { feeds, wanted };
    const begun = performance.now();
    try {
      this.#arrange(this.#used);
      if (!this.#expected.isLong) this.#call(wanted.length);
      else {
        const running = this.#callElsewhere(wanted.length);
        const over = (): void => {
          this.#running = undefined;
        };
        this.#running = running.then(over, over);
        await running;
      }
    } finally {
      this.#expected.tookSince(begun);
    }
    const results: Record<string, Tensor> = {};
    wanted.forEach(([name, tensor], index) => {
      results[name] = tensor ?? this.#taken(this.#outputs[index] as Pointer);
    });
    return results;
  }

  async release(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
    const session = this.#session;
    this.#session = NOBODY;
    if (session !== NOBODY) this.#runtime.library.functions.releaseSession(session);
  }

  /** Where everything is that the run reads and writes. */
  #arrange({ feeds, wanted }: Used): void {
    const { values } = this.#runtime;
    if (this.#session === NOBODY) throw new Error('the graph was released');
    this.inputMetadata.forEach(({ name }, index) => {
      const tensor = feeds[name];
      if (tensor === undefined) throw new Error(`input '${name}' is missing`);
      this.#inputs[index] = values.of(tensor);
    });
    wanted.forEach(([name, tensor], index) => {
      this.#outputNames[index] = this.#nameOf(name);
      this.#outputs[index] = tensor === null ? NOBODY : values.of(tensor);
    });
  }

  #call(outputs: number): void {
    const { library, quiet } = this.#runtime;
    library.check(
      library.functions.run(
        ...([this.#session, quiet, this.#inputNames, this.#inputs, this.#inputs.length] as const),
        ...([this.#outputNames, outputs, this.#outputs] as const),
      ),
    );
  }

  /** On another thread, so that the event loop goes on. */
  async #callElsewhere(outputs: number): Promise<void> {
    const { library, quiet } = this.#runtime;
    await library.later((finished) => {
      library.functions.run.async(
        ...([this.#session, quiet, this.#inputNames, this.#inputs, this.#inputs.length] as const),
        ...([this.#outputNames, outputs, this.#outputs, finished] as const),
      );
    });
  }

  #nameOf(name: string): Pointer {
    const known = this.#names.get(name);
    if (known === undefined) throw new Error(`the graph has no '${name}'`);
    return known.address;
  }

  /** A copy of what ONNX Runtime made; its own is given back. */
  #taken(value: Pointer): Tensor {
    const { library } = this.#runtime;
    const { functions } = library;
    try {
      const info = library.made((out) => functions.tensorInfo(value, out));
      try {
        const { type, dims } = shapeOf(library, info);
        const array = allocate(type, elementCount(dims));
        const data = library.made((out) => functions.tensorData(value, out));
        library.copy(data, array);
        return new OrtTensor(type, array as Float32Array, dims);
      } finally {
        functions.releaseTensorInfo(info);
      }
    } finally {
      functions.releaseValue(value);
    }
  }
}
