/** Whether this process can call ONNX Runtime's C API. */
import { Tensor } from 'onnxruntime-node';
import { Library } from './library';
import { NativeSession } from './native-session';
import type { Runtime } from './shared';
import { Values } from './values';
import { IDENTITY } from '../graphs/identity';

type Found =
  | { readonly works: true; readonly runtime: Runtime }
  | { readonly works: false; readonly why: string };

const FATAL = 4;

let found: Promise<Found> | undefined;
let native: Runtime | undefined;

/**
 * Stops runs: those on other threads end soon, between two operators, and those that begin fail, until `go`. Where ONNX
 * Runtime is not called by its C API nothing happens, and runs end when they end.
 */
export const runs = {
  stop: (): void => {
    if (native === undefined) return;
    const { library, quiet } = native;
    library.check(library.functions.setTerminate(quiet));
  },
  go: (): void => {
    if (native === undefined) return;
    const { library, quiet } = native;
    library.check(library.functions.unsetTerminate(quiet));
  },
};

/** Tried once: a graph is run, and has to answer rightly. */
export function nativeRuntime(): Promise<Found> {
  found ??= open().catch((error: unknown): Found => ({
    works: false,
    why: error instanceof Error ? error.message : String(error),
  }));
  return found;
}

async function open(): Promise<Found> {
  const library = new Library();
  const { functions } = library;
  const quiet = library.made((out) => functions.createRunOptions(out));
  library.check(functions.setRunLogSeverity(quiet, FATAL));
  const runtime: Runtime = {
    library,
    values: new Values(library),
    // The one that the binding made before: ONNX Runtime has one in a process.
    environment: library.made((out) => functions.createEnv(FATAL - 1, 'cabstand', out)),
    allocator: library.made((out) => functions.defaultAllocator(out)),
    quiet,
  };
  const session = await NativeSession.open(runtime, '', { threads: 1 }, IDENTITY);
  const given = new Tensor('float32', Float32Array.of(0.5), [1]);
  const { y } = await session.run({ x: given }, ['y']);
  await session.release();
  const [answer] = y?.data as Float32Array;
  if (answer !== 0.5) throw new Error(`a graph that gives 0.5 back gave ${answer}`);
  native = runtime;
  return { works: true, runtime };
}
