/**
 * A graph that ONNX Runtime runs through its C API. Outputs that are fetched into memory of ours are written there and
 * not copied, as the Node binding does; long runs do not hold the event loop up.
 */
import { dirname } from 'node:path';
import { Tensor as OrtTensor } from 'onnxruntime-node';
import type { InferenceSession, Tensor } from 'onnxruntime-node';
import { elementCount } from '@cabstand/tensor';
import { allocate } from '../graphs/batch-tensor';
import type { Fetches, GraphSession, Tensors } from '../graphs/graph-session';
import { address, text, textAt } from './library';
import type { Cell, Library, Pointer } from './library';
import { typeOf } from './values';
import type { Values } from './values';

/** The way to another thread and back takes 0.2. */
const LONG_MS = 10;
/** Of the latest run in what runs are expected to take. */
const WEIGHT = 0.25;

const WARNINGS = 3;
const NOBODY: Pointer = 0n;

/** What all sessions of a process share. */
export interface Runtime {
  readonly library: Library;
  readonly values: Values;
  readonly environment: Pointer;
  readonly allocator: Pointer;
  /** Of runs: those that fail say so, and nothing is logged. */
  readonly quiet: Pointer;
}

export interface NativeOptions {
  /** Intra-op threads. */
  readonly threads: number;
  /** Runs that take longer than this, in milliseconds, go to another thread. Default 10. */
  readonly longMs?: number;
}

type Side = 'input' | 'output';
type Metadata = InferenceSession.TensorValueMetadata;
/** An output, and where it is written; null: where ONNX Runtime likes. */
type Wanted = readonly [name: string, tensor: Tensor | null];

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
  readonly #longMs: number;
  #expectedMs: number;
  /** A run on another thread: never rejects. */
  #running: Promise<void> | undefined;

  private constructor(runtime: Runtime, session: Pointer, longMs: number) {
    this.#runtime = runtime;
    this.#longMs = longMs;
    // Nobody knows yet: should it be long, it can be stopped.
    this.#expectedMs = longMs + 1;
    this.#session = session;
    this.inputMetadata = this.#describe('input');
    this.outputMetadata = this.#describe('output');
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
    const { library, environment } = runtime;
    const { functions } = library;
    const options = library.made((out) => functions.createSessionOptions(out));
    const out = new BigUint64Array(1);
    try {
      library.check(functions.setLogSeverity(options, WARNINGS));
      library.check(functions.setIntraOpThreads(options, threads));
      library.check(functions.setInterOpThreads(options, 1));
      const settings = {
        // Threads that spin between steps take the cores of other engines.
        'session.intra_op.allow_spinning': '0',
        'session.inter_op.allow_spinning': '0',
        ...(bytes && { 'session.model_external_initializers_file_folder_path': dirname(file) }),
      };
      for (const [key, value] of Object.entries(settings))
        library.check(functions.setConfig(options, key, value));
      const name = text(file);
      await library.later((finished) => {
        if (bytes === undefined)
          functions.createSession.async(environment, name, options, out, finished);
        else
          functions.createSessionFromArray.async(
            ...[environment, bytes, bytes.length, options, out, finished],
          );
      });
    } finally {
      functions.releaseSessionOptions(options);
    }
    const session = out[0] as Pointer;
    try {
      return new NativeSession(runtime, session, longMs);
    } catch (error) {
      functions.releaseSession(session);
      throw error;
    }
  }

  async run(feeds: Tensors, fetches: Fetches): Promise<Tensors> {
    while (this.#running !== undefined) await this.#running;
    const wanted = wantedOf(fetches);
    this.#arrange(feeds, wanted);
    const begun = performance.now();
    try {
      if (this.#expectedMs <= this.#longMs) this.#call(wanted.length);
      else {
        const running = this.#callElsewhere(wanted.length);
        const over = (): void => {
          this.#running = undefined;
        };
        this.#running = running.then(over, over);
        await running;
      }
    } finally {
      this.#expectedMs += (performance.now() - begun - this.#expectedMs) * WEIGHT;
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
  #arrange(feeds: Tensors, wanted: readonly Wanted[]): void {
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
        const { type, dims } = this.#shapeOf(info);
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

  #shapeOf(info: Pointer) {
    const { library } = this.#runtime;
    const { functions } = library;
    // An enumeration has 4 bytes, which are the first ones on all these machines.
    const number = Number(library.made((out) => functions.elementType(info, out)));
    const type = typeOf(number);
    if (type === undefined) throw new Error(`its elements are of ONNX's type ${number}`);
    const rank = Number(library.made((out) => functions.rank(info, out)));
    const dims = new BigInt64Array(rank);
    if (rank > 0) library.check(functions.dimensions(info, dims, rank));
    return { type, dims: Array.from(dims, Number) };
  }

  #describe(side: Side): Metadata[] {
    const { library, allocator } = this.#runtime;
    const { functions } = library;
    const session = this.#session;
    const count = library.made((out) =>
      side === 'input' ? functions.inputCount(session, out) : functions.outputCount(session, out),
    );
    return Array.from({ length: Number(count) }, (_, index) => {
      const at = library.made((out) =>
        side === 'input'
          ? functions.inputName(session, index, allocator, out)
          : functions.outputName(session, index, allocator, out),
      );
      const name = textAt(at);
      library.check(functions.free(allocator, at));
      const of = library.made((out) =>
        side === 'input'
          ? functions.inputType(session, index, out)
          : functions.outputType(session, index, out),
      );
      try {
        return { name, isTensor: true, ...this.#declared(name, of) };
      } finally {
        functions.releaseType(of);
      }
    });
  }

  /** What the graph says of an input or output. Sizes that it leaves open are names, or ''. */
  #declared(name: string, of: Pointer): Pick<Metadata, 'type' | 'shape'> {
    const { library } = this.#runtime;
    const { functions } = library;
    const info = library.made((out) => functions.asTensorInfo(of, out));
    if (info === NOBODY) throw new Error(`'${name}' is no tensor`);
    const { type, dims } = this.#shapeOf(info);
    const names = new BigUint64Array(Math.max(1, dims.length));
    if (dims.length > 0) library.check(functions.dimensionNames(info, names, dims.length));
    const shape = dims.map((size, axis) => (size >= 0 ? size : textAt(names[axis] as Pointer)));
    return { type, shape };
  }
}

function wantedOf(fetches: Fetches): readonly Wanted[] {
  return isNames(fetches) ? fetches.map((name): Wanted => [name, null]) : Object.entries(fetches);
}

function isNames(fetches: Fetches): fetches is readonly string[] {
  return Array.isArray(fetches);
}
