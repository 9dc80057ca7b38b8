/** Loads the graphs of models. */
import { NativeSession } from '../native/native-session';
import { nativeRuntime } from '../native/runtime';
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
  if (await callsApi(options)) {
    const session = await openNative(file, options, bytes);
    if (session !== undefined) return session;
  }
  return new BindingSession(await openBinding(file, options, {}, bytes));
}

/** Whether graphs are run by ONNX Runtime's C API where they can be. */
export async function callsApi({ provider, runtime = 'auto' }: SessionOptions): Promise<boolean> {
  if (runtime !== 'auto' || provider !== 'cpu') return false;
  return (await nativeRuntime()).works;
}

/** Undefined where it is the binding's: what is wrong with the file, it says as well. */
async function openNative(
  file: string,
  { threads }: SessionOptions,
  bytes: Uint8Array | undefined,
): Promise<GraphSession | undefined> {
  const native = await nativeRuntime();
  try {
    return native.works
      ? await NativeSession.open(native.runtime, file, { threads }, bytes)
      : undefined;
  } catch {
    return undefined;
  }
}
