/** Loads graphs by ONNX Runtime's C API, whatever runs them. */
import { dirname } from 'node:path';
import { text } from './library';
import type { Pointer } from './library';
import type { Runtime } from './shared';

export interface NativeOptions {
  /** Intra-op threads. */
  readonly threads: number;
  /** Runs that take longer than this, in milliseconds, go to another thread. Default 50. */
  readonly longMs?: number;
}

/** Steps of 15 ms took a tenth longer on another thread. */
export const LONG_MS = 50;

const WARNINGS = 3;

/**
 * The address of a session of ONNX Runtime's; to be released.
 *
 * @param bytes to be loaded in place of what is in the file; weights outside it are sought beside it
 * @param provide adds execution providers to the options; none: the CPU's
 * @throws Error where ONNX Runtime does not take it.
 */
export async function loadGraph(
  { library, environment }: Runtime,
  file: string,
  threads: number,
  bytes?: Uint8Array,
  provide?: (options: Pointer) => void,
): Promise<Pointer> {
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
    provide?.(options);
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
  return out[0] as Pointer;
}
