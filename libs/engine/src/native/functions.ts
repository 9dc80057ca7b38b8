/**
 * The functions of ONNX Runtime's C API that are called. They stand in one table that is only ever appended to, so each
 * has a place that stays:
 * https://github.com/microsoft/onnxruntime/blob/main/include/onnxruntime/core/session/onnxruntime_c_api.h.
 */

/** An address; 0 is nobody's. */
export type Pointer = bigint;
export const NOBODY: Pointer = 0n;
/** Where a function writes an address or a number of 8 bytes. */
export type Cell = BigUint64Array;
/** Null: it went well. Otherwise it has to be released. */
export type Status = Pointer | null;
/** What C reads or writes: memory of an array, text with a zero behind it, or an address. */
export type Memory = NodeJS.ArrayBufferView | Pointer | null;
export type Finished = (error: unknown, status: Status) => void;

export interface Functions {
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
  /** Memory of the allocator's, which goes with the value. */
  allocateTensor: (
    allocator: Pointer,
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
  memoryInfo: (name: string, allocator: number, device: number, kind: number, out: Cell) => Status;
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
  createAllocator: (session: Pointer, memory: Pointer, out: Cell) => Status;
  releaseAllocator: (allocator: Pointer) => void;
  runBound: Waiting<[session: Pointer, options: Pointer, binding: Pointer]>;
  createBinding: (session: Pointer, out: Cell) => Status;
  releaseBinding: (binding: Pointer) => void;
  /** What is not where the graph needs it is copied there now, not when the graph runs. */
  bindInput: (binding: Pointer, name: Memory, value: Pointer) => Status;
  bindOutput: (binding: Pointer, name: Memory, value: Pointer) => Status;
  bindOutputTo: (binding: Pointer, name: Memory, memory: Pointer) => Status;
  /** As outputs were bound. The list is the allocator's to free, and each value is to be released. */
  boundOutputs: (binding: Pointer, allocator: Pointer, values: Cell, count: Cell) => Status;
  clearInputs: (binding: Pointer) => void;
  clearOutputs: (binding: Pointer) => void;
  awaitInputs: (binding: Pointer) => Status;
  awaitOutputs: (binding: Pointer) => Status;
  appendCuda: (options: Pointer, cuda: Pointer) => Status;
  createCudaOptions: (out: Cell) => Status;
  updateCudaOptions: (cuda: Pointer, keys: Cell, values: Cell, count: number) => Status;
  releaseCudaOptions: (cuda: Pointer) => void;
}

/** A function that may also be called on a thread of libuv's. */
type Waiting<A extends unknown[]> = ((...args: A) => Status) & {
  readonly async: (...args: [...A, Finished]) => void;
};

/** Place in the table, what it answers, what it takes. */
export const TABLE: Readonly<Record<keyof Functions, readonly [number, string, string]>> = {
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
  allocateTensor: [48, 'void *', 'void *, void *, size_t, int, void *'],
  tensorData: [51, 'void *', 'void *, void *'],
  asTensorInfo: [55, 'void *', 'void *, void *'],
  elementType: [60, 'void *', 'void *, void *'],
  rank: [61, 'void *', 'void *, void *'],
  dimensions: [62, 'void *', 'void *, void *, size_t'],
  dimensionNames: [63, 'void *', 'void *, void *, size_t'],
  tensorInfo: [65, 'void *', 'void *, void *'],
  memoryInfo: [68, 'void *', 'const char *, int, int, int, void *'],
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
  createAllocator: [131, 'void *', 'void *, void *, void *'],
  releaseAllocator: [132, 'void', 'void *'],
  runBound: [133, 'void *', 'void *, void *, void *'],
  createBinding: [134, 'void *', 'void *, void *'],
  releaseBinding: [135, 'void', 'void *'],
  bindInput: [136, 'void *', 'void *, void *, void *'],
  bindOutput: [137, 'void *', 'void *, void *, void *'],
  bindOutputTo: [138, 'void *', 'void *, void *, void *'],
  boundOutputs: [140, 'void *', 'void *, void *, void *, void *'],
  clearInputs: [141, 'void', 'void *'],
  clearOutputs: [142, 'void', 'void *'],
  awaitInputs: [202, 'void *', 'void *'],
  awaitOutputs: [203, 'void *', 'void *'],
  appendCuda: [204, 'void *', 'void *, void *'],
  createCudaOptions: [205, 'void *', 'void *'],
  updateCudaOptions: [206, 'void *', 'void *, void *, void *, size_t'],
  releaseCudaOptions: [208, 'void', 'void *'],
};
