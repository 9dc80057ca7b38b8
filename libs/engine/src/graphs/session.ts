/** Loads the graphs of models. */
import { openBinding } from './binding';
import type { SessionOptions } from './binding';
import { BindingSession } from './binding-session';
import type { GraphSession } from './graph-session';

/**
 * Loads one ONNX file. A provider that this machine lacks throws here: main tries the next one.
 *
 * @param bytes to be loaded in place of what is in the file; weights outside it are sought beside it
 * @throws CabstandError MODEL_FAILED naming file and provider.
 */
export async function createSession(
  file: string,
  options: SessionOptions,
  bytes?: Uint8Array,
): Promise<GraphSession> {
  return new BindingSession(await openBinding(file, options, {}, bytes));
}
