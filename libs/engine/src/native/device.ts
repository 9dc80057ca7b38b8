/**
 * The memory that graphs compute in, and how bytes are copied to, from and within it. A device without memory of its
 * own, the CPU, goes through all the same calls: so they are tried where there is no GPU.
 */
import koffi from 'koffi';
import type { LibraryHandle } from 'koffi';
import { address, text } from './library';
import type { Library, Pointer } from './library';

/** Where bytes are: `height` pieces, each `pitch` bytes behind the one before. */
export interface Pieces {
  readonly at: Pointer;
  readonly pitch: number;
}

export interface Device {
  readonly provider: 'cuda' | 'cpu';
  /** Its memory, as ONNX Runtime names it. */
  readonly memory: string;
  /** Memory of the machine that it copies from and to by itself. */
  readonly pinned: string;
  /** Adds its execution provider to the options of a session. */
  provide(options: Pointer): void;
  /** Copies `height` pieces of `width` bytes, from and to wherever. What was copied is there for later copies. */
  copy(to: Pieces, from: Pieces, width: number, height: number): void;
  /** Puts zeros into bytes of its memory. */
  clear(at: Pointer, bytes: number): void;
  /** Waits until all that was copied is there for graphs, too. */
  settle(): void;
}

export function cpuDevice(library: Library): Device {
  return {
    provider: 'cpu',
    memory: 'Cpu',
    pinned: 'Cpu',
    provide: () => undefined,
    copy: (to, from, width, height) => {
      for (let piece = 0; piece < height; piece += 1)
        library.move(to.at + BigInt(piece * to.pitch), from.at + BigInt(piece * from.pitch), width);
    },
    clear: (at, bytes) => library.clear(at, bytes),
    settle: () => undefined,
  };
}

/** CUDA's runtime, in the versions that ONNX Runtime's provider is built with. It has loaded its own by then. */
const CUDART = ['libcudart.so.13', 'libcudart.so.12'] as const;
/** Where bytes are, addresses say: https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__TYPES.html. */
const BY_ADDRESS = 4;
/** https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html#configuration-options */
const OPTIONS = { device_id: '0' } as const;

/**
 * The first GPU that the process sees.
 *
 * @throws Error where it, ONNX Runtime's provider for it or CUDA's libraries are missing.
 */
export function cudaDevice(library: Library): Device {
  const { functions } = library;
  const cuda = library.made((out) => functions.createCudaOptions(out));
  // All at once: what a call does not name is set back to its default.
  const names = Object.keys(OPTIONS).map(text);
  const values = Object.values(OPTIONS).map(text);
  library.check(
    functions.updateCudaOptions(
      ...[cuda, BigUint64Array.from(names, address), BigUint64Array.from(values, address)],
      names.length,
    ),
  );
  const runtime = loadCudart();
  const copy2D = runtime.func('cudaMemcpy2D', 'int', [
    ...['void *', 'size_t', 'void *', 'size_t', 'size_t', 'size_t', 'int'],
  ]) as (...args: (Pointer | number)[]) => number;
  const set = runtime.func('cudaMemset', 'int', ['void *', 'int', 'size_t']) as (
    at: Pointer,
    value: number,
    bytes: number,
  ) => number;
  const awaitStream = runtime.func('cudaStreamSynchronize', 'int', ['void *']) as (
    stream: null,
  ) => number;
  const describe = runtime.func('cudaGetErrorString', 'const char *', ['int']) as (
    error: number,
  ) => string;
  const check = (error: number): void => {
    if (error !== 0) throw new Error(`CUDA: ${describe(error)} (${error})`);
  };
  // What is done within the device is not awaited; the streams of graphs do not wait for them either.
  let isUnsettled = false;
  return {
    provider: 'cuda',
    memory: 'Cuda',
    pinned: 'CudaPinned',
    provide: (options) => library.check(functions.appendCuda(options, cuda)),
    copy: (to, from, width, height) => {
      if (width === 0 || height === 0) return;
      // One piece may be longer than any pitch.
      const [toPitch, fromPitch] = height === 1 ? [width, width] : [to.pitch, from.pitch];
      isUnsettled = true;
      check(copy2D(to.at, toPitch, from.at, fromPitch, width, height, BY_ADDRESS));
    },
    clear: (at, bytes) => {
      if (bytes === 0) return;
      isUnsettled = true;
      check(set(at, 0, bytes));
    },
    settle: () => {
      if (!isUnsettled) return;
      check(awaitStream(null));
      isUnsettled = false;
    },
  };
}

function loadCudart(): LibraryHandle {
  const missing: string[] = [];
  for (const name of CUDART) {
    try {
      return koffi.load(name);
    } catch (error) {
      missing.push(error instanceof Error ? error.message : String(error));
    }
  }
  throw new Error(missing.join('; '));
}
