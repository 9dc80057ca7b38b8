/** Loads the graphs of models. */
import { NativeSession } from '../native/native-session';
import { nativeRuntime } from '../native/runtime';
import type { Runtime } from '../native/shared';
import { openBinding } from './binding';
import type { SessionOptions } from './binding';
import { BindingSession } from './binding-session';
import type { GraphSession } from './graph-session';

/**
 * Loads one ONNX file. A provider that this machine lacks throws here: main tries the next one. On the CPU ONNX Runtime
 * is called by its C API where that works, as runs cost less so; for other providers, and for graphs of text or of
 * anything but tensors, by the binding.
 *
 * @param bytes to be loaded in place of what is in the file; weights outside it are sought beside it
 * @throws CabstandError MODEL_FAILED naming file and provider.
 */
export async function createSession(
  file: string,
  options: SessionOptions,
  bytes?: Uint8Array,
): Promise<GraphSession> {
  const native = await nativeFor(options);
  const session = native && (await openNative(native, file, options, bytes));
  return session ?? new BindingSession(await openBinding(file, options, {}, bytes));
}

/** What graphs are run with by ONNX Runtime's C API; undefined where they are the binding's. */
export async function nativeFor({
  provider,
  runtime = 'auto',
}: SessionOptions): Promise<Runtime | undefined> {
  if (runtime !== 'auto' || provider !== 'cpu') return undefined;
  const found = await nativeRuntime();
  return found.works ? found.runtime : undefined;
}

/** Undefined where it is the binding's: what is wrong with the file, it says as well. */
async function openNative(
  native: Runtime,
  file: string,
  { threads }: SessionOptions,
  bytes: Uint8Array | undefined,
): Promise<GraphSession | undefined> {
  try {
    return await NativeSession.open(native, file, { threads }, bytes);
  } catch {
    return undefined;
  }
}
