/** Loads the graphs of models. */
import { deviceRuntime } from '../native/device-runtime';
import type { DeviceRuntime } from '../native/device-runtime';
import { DeviceSession } from '../native/device-session';
import { NativeSession } from '../native/native-session';
import { nativeRuntime } from '../native/runtime';
import type { Runtime } from '../native/shared';
import { openBinding } from './binding';
import type { SessionOptions } from './binding';
import { BindingSession } from './binding-session';
import type { GraphSession } from './graph-session';

/**
 * Loads one ONNX file. A provider that this machine lacks throws here: main tries the next one. On the CPU ONNX Runtime
 * is called by its C API where that works, as runs cost less so, and for CUDA, as states stay on the device so; for
 * other providers, and for graphs of text or of anything but tensors, by the binding.
 *
 * @param bytes to be loaded in place of what is in the file; weights outside it are sought beside it
 * @throws CabstandError MODEL_FAILED naming file and provider.
 */
export async function createSession(
  file: string,
  options: SessionOptions,
  bytes?: Uint8Array,
): Promise<GraphSession> {
  const session =
    (await openOnDevice(file, options, bytes)) ?? (await openNative(file, options, bytes));
  if (session !== undefined) return session;
  const binding = new BindingSession(await openBinding(file, options, {}, bytes));
  await sayWhyNot(options);
  return binding;
}

/** What graphs are run with by ONNX Runtime's C API; undefined where they are the binding's. */
async function nativeFor({
  provider,
  runtime = 'auto',
}: SessionOptions): Promise<Runtime | undefined> {
  if (runtime !== 'auto' || provider !== 'cpu') return undefined;
  const found = await nativeRuntime();
  return found.works ? found.runtime : undefined;
}

let isSaid = false;

/** Said once: whoever has a GPU is to know that states and caches do not stay on it. */
async function sayWhyNot({ provider, runtime = 'auto' }: SessionOptions): Promise<void> {
  if (isSaid || provider !== 'cuda' || runtime === 'binding') return;
  const found = await deviceRuntime(provider);
  if (found.works) return;
  isSaid = true;
  process.stderr.write(`engine: state does not stay on the device: ${found.why}\n`);
}

/** Whether graphs are run by ONNX Runtime's C API: outputs are written where they are wanted. */
export async function callsApi(options: SessionOptions): Promise<boolean> {
  return (await nativeFor(options)) !== undefined || (await deviceFor(options)) !== undefined;
}

/** Undefined where it is the binding's: what is wrong with the file, it says as well. */
async function openNative(
  file: string,
  options: SessionOptions,
  bytes: Uint8Array | undefined,
): Promise<GraphSession | undefined> {
  const native = await nativeFor(options);
  if (native === undefined) return undefined;
  const { threads } = options;
  try {
    return await NativeSession.open(native, file, { threads }, bytes);
  } catch {
    return undefined;
  }
}

/** Undefined where it is not for a device, or cannot be run on it so. */
async function openOnDevice(
  file: string,
  options: SessionOptions,
  bytes: Uint8Array | undefined,
): Promise<GraphSession | undefined> {
  const on = await deviceFor(options);
  if (on === undefined) return undefined;
  const { threads } = options;
  try {
    return await DeviceSession.open(on.runtime, on.device, file, { threads }, bytes);
  } catch {
    return undefined;
  }
}

/** The device that states and caches stay on; undefined where there is none, or it is not to be used so. */
async function deviceFor({
  provider,
  runtime = 'auto',
}: SessionOptions): Promise<DeviceRuntime | undefined> {
  if (provider !== 'cuda' && provider !== 'cpu') return undefined;
  const isWanted = provider === 'cuda' ? runtime !== 'binding' : runtime === 'io-binding';
  if (!isWanted) return undefined;
  const found = await deviceRuntime(provider);
  return found.works ? found.on : undefined;
}
