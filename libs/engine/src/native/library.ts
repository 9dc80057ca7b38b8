/**
 * ONNX Runtime's C API, called in the very library that onnxruntime-node ships. The functions stand in one table that
 * is only ever appended to, so each has a place that stays:
 * https://github.com/microsoft/onnxruntime/blob/main/include/onnxruntime/core/session/onnxruntime_c_api.h.
 */
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import koffi from 'koffi';

/** An address; 0 is nobody's. */
export type Pointer = bigint;
export const NOBODY: Pointer = 0n;
/** Where a function writes an address or a number of 8 bytes. */
export type Cell = BigUint64Array;
/** Null: it went well. Otherwise it has to be released. */
type Status = Pointer | null;
/** What C reads or writes: memory of an array, text with a zero behind it, or an address. */
type Memory = NodeJS.ArrayBufferView | Pointer | null;
type GetApi = (version: number) => Pointer | null;
type Finished = (error: unknown, status: Status) => void;

interface Functions {
  getErrorMessage: (status: Pointer) => string;
  createEnv: (logLevel: number, name: string, out: Cell) => Status;
  createSession: Waiting<[env: Pointer, path: Memory, options: Pointer, out: Cell]>;
  createSessionFromArray: Waiting<
    [env: Pointer, bytes: Memory, length: number, options: Pointer, out: Cell]
  >;
  run: Waiting<
    // prettier-ignore
    [
      session: Pointer, options: Pointer,
      inputNames: Cell, inputs: Cell, inputCount: number,
      outputNames: Cell, outputCount: number, outputs: Cell,
    ]
  >;
  createSessionOptions: (out: Cell) => Status;
  setLogSeverity: (options: Pointer, level: number) => Status;
  setIntraOpThreads: (options: Pointer, count: number) => Status;
  setInterOpThreads: (options: Pointer, count: number) => Status;
  inputCount: (session: Pointer, out: Cell) => Status;
  outputCount: (session: Pointer, out: Cell) => Status;
  inputType: (session: Pointer, index: number, out: Cell) => Status;
  outputType: (session: Pointer, index: number, out: Cell) => Status;
  inputName: (session: Pointer, index: number, allocator: Pointer, out: Cell) => Status;
  outputName: (session: Pointer, index: number, allocator: Pointer, out: Cell) => Status;
  createRunOptions: (out: Cell) => Status;
  setRunLogSeverity: (options: Pointer, level: number) => Status;
  setTerminate: (options: Pointer) => Status;
  unsetTerminate: (options: Pointer) => Status;
  createTensor: (
    memory: Pointer,
    data: Memory,
    bytes: number,
    dims: BigInt64Array,
    rank: number,
    type: number,
    out: Cell,
  ) => Status;
  tensorData: (value: Pointer, out: Cell) => Status;
  asTensorInfo: (type: Pointer, out: Cell) => Status;
  elementType: (info: Pointer, out: Cell) => Status;
  rank: (info: Pointer, out: Cell) => Status;
  dimensions: (info: Pointer, out: BigInt64Array, rank: number) => Status;
  dimensionNames: (info: Pointer, out: Cell, rank: number) => Status;
  tensorInfo: (value: Pointer, out: Cell) => Status;
  cpuMemory: (allocator: number, kind: number, out: Cell) => Status;
  free: (allocator: Pointer, memory: Pointer) => Status;
  defaultAllocator: (out: Cell) => Status;
  releaseStatus: (status: Pointer) => void;
  releaseSession: (session: Pointer) => void;
  releaseValue: (value: Pointer) => void;
  releaseType: (type: Pointer) => void;
  releaseTensorInfo: (info: Pointer) => void;
  releaseSessionOptions: (options: Pointer) => void;
  setConfig: (options: Pointer, key: string, value: string) => Status;
}

/** A function that may also be called on a thread of libuv's. */
type Waiting<A extends unknown[]> = ((...args: A) => Status) & {
  readonly async: (...args: [...A, Finished]) => void;
};

/** Place in the table, what it answers, what it takes. */
const TABLE: Readonly<Record<keyof Functions, readonly [number, string, string]>> = {
  getErrorMessage: [2, 'const char *', 'void *'],
  createEnv: [3, 'void *', 'int, const char *, void *'],
  createSession: [7, 'void *', 'void *, void *, void *, void *'],
  createSessionFromArray: [8, 'void *', 'void *, void *, size_t, void *, void *'],
  run: [9, 'void *', 'void *, void *, void *, void *, size_t, void *, size_t, void *'],
  createSessionOptions: [10, 'void *', 'void *'],
  setLogSeverity: [22, 'void *', 'void *, int'],
  setIntraOpThreads: [24, 'void *', 'void *, int'],
  setInterOpThreads: [25, 'void *', 'void *, int'],
  inputCount: [30, 'void *', 'void *, void *'],
  outputCount: [31, 'void *', 'void *, void *'],
  inputType: [33, 'void *', 'void *, size_t, void *'],
  outputType: [34, 'void *', 'void *, size_t, void *'],
  inputName: [36, 'void *', 'void *, size_t, void *, void *'],
  outputName: [37, 'void *', 'void *, size_t, void *, void *'],
  createRunOptions: [39, 'void *', 'void *'],
  setRunLogSeverity: [41, 'void *', 'void *, int'],
  setTerminate: [46, 'void *', 'void *'],
  unsetTerminate: [47, 'void *', 'void *'],
  createTensor: [49, 'void *', 'void *, void *, size_t, void *, size_t, int, void *'],
  tensorData: [51, 'void *', 'void *, void *'],
  asTensorInfo: [55, 'void *', 'void *, void *'],
  elementType: [60, 'void *', 'void *, void *'],
  rank: [61, 'void *', 'void *, void *'],
  dimensions: [62, 'void *', 'void *, void *, size_t'],
  dimensionNames: [63, 'void *', 'void *, void *, size_t'],
  tensorInfo: [65, 'void *', 'void *, void *'],
  cpuMemory: [69, 'void *', 'int, int, void *'],
  free: [76, 'void *', 'void *, void *'],
  defaultAllocator: [78, 'void *', 'void *'],
  releaseStatus: [93, 'void', 'void *'],
  releaseSession: [95, 'void', 'void *'],
  releaseValue: [96, 'void', 'void *'],
  releaseType: [98, 'void', 'void *'],
  releaseTensorInfo: [99, 'void', 'void *'],
  releaseSessionOptions: [100, 'void', 'void *'],
  setConfig: [130, 'void *', 'void *, const char *, const char *'],
};

/** Of the table: the first one that has all of these functions is older. */
const API_VERSION = 20;
/** Koffi calls on a stack of its own. ONNX Runtime needs as much as anybody: on threads Linux gives 8 MiB. */
const STACK_BYTES = 16 * 1024 * 1024;

const NAMES: Readonly<Partial<Record<NodeJS.Platform, string>>> = {
  linux: 'libonnxruntime.so.1',
  darwin: 'libonnxruntime.1.dylib',
};

export class Library {
  readonly functions: Functions;
  readonly #memcpy: (to: Memory, from: Pointer, bytes: number) => Pointer;
  readonly #cell = new BigUint64Array(1);

  /** @throws Error where this platform has no library, or not one that can be called. */
  constructor() {
    // It is of the process, and stays as it is after the first call.
    if (koffi.config().sync_stack_size !== STACK_BYTES)
      koffi.config({ sync_stack_size: STACK_BYTES, async_stack_size: STACK_BYTES });
    this.#memcpy = koffi.load(null).func('memcpy', 'void *', ['void *', 'void *', 'size_t']);
    const base = koffi.load(libraryPath()).func('OrtGetApiBase', 'void *', [])() as Pointer;
    const getApi = functionAt(base, 0, 'void *', 'uint32_t') as GetApi;
    const api = getApi(API_VERSION);
    if (api === null) throw new Error(`ONNX Runtime has no C API of version ${API_VERSION}`);
    this.functions = Object.fromEntries(
      Object.entries(TABLE).map(([name, [place, answer, takes]]) => [
        name,
        functionAt(api, place, answer, takes),
      ]),
    ) as unknown as Functions;
  }

  /** @throws Error with ONNX Runtime's words. */
  check(status: Status): void {
    if (status === null) return;
    const message = this.functions.getErrorMessage(status);
    this.functions.releaseStatus(status);
    throw new Error(message);
  }

  /** The address, or the number of 8 bytes, that a call writes. */
  made(call: (out: Cell) => Status): Pointer {
    this.#cell[0] = 0n;
    this.check(call(this.#cell));
    return this.#cell[0];
  }

  /** Fills an array with what stands at an address. */
  copy(from: Pointer, to: NodeJS.ArrayBufferView): void {
    if (to.byteLength > 0) this.#memcpy(to, from, to.byteLength);
  }

  /** Calls on a thread of libuv's; what the arguments point to stays as it is until it answers. */
  async later(start: (finished: Finished) => void): Promise<void> {
    const status = await new Promise<Status>((resolve, reject) => {
      start((error, answer) => {
        if (error === null || error === undefined) resolve(answer);
        else
          reject(error instanceof Error ? error : new Error('the call failed', { cause: error }));
      });
    });
    this.check(status);
  }
}

function functionAt(table: Pointer, place: number, answer: string, takes: string): unknown {
  const prototype = koffi.proto(answer, takes.split(', '));
  const address = koffi.decode(table, place * koffi.sizeof('void *'), 'void *') as Pointer;
  return koffi.decode(address, prototype);
}

function libraryPath(): string {
  const { platform, arch } = process;
  const name = NAMES[platform];
  if (name === undefined) throw new Error(`${platform}: its library is not called directly`);
  const bin = path.resolve(path.dirname(require.resolve('onnxruntime-node')), '..', 'bin');
  const abi = readdirSync(bin).find((folder) => folder.startsWith('napi-'));
  const file = path.join(bin, abi ?? '', platform, arch, name);
  if (!existsSync(file)) throw new Error(`${file}: no such file`);
  return file;
}

/** Text as C has it. */
export function text(value: string): Buffer {
  return Buffer.from(`${value}\0`);
}

export function address(memory: NodeJS.ArrayBufferView): Pointer {
  return koffi.address(memory);
}

/** Text that ends with a zero, at an address. */
export function textAt(at: Pointer): string {
  return koffi.decode(at, 'char', -1) as string;
}
