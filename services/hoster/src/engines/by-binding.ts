import type { CabstandError } from '@cabstand/core';
import type { Provider } from '@cabstand/model';

/** What a process is ended by that uses memory which is not its own. */
const CRASHES: ReadonlySet<string> = new Set(['SIGSEGV', 'SIGBUS', 'SIGILL', 'SIGABRT']);
/** Those for which engines call ONNX Runtime's C API. */
const PROVIDERS: ReadonlySet<Provider> = new Set(['cpu', 'cuda']);

/**
 * Why a model that did not load may load where ONNX Runtime is called by its binding for Node; undefined where there is
 * no reason. On the CPU both compute the same; for a GPU they do not move the same things.
 */
export function whyByBinding(
  provider: Provider,
  { reason, metadata: { signal = '' } }: CabstandError,
): string | undefined {
  if (!PROVIDERS.has(provider)) return undefined;
  if (CRASHES.has(signal)) return 'its C API ended the engine';
  return provider === 'cuda' && reason === 'VERIFICATION_FAILED'
    ? 'by its C API the model computed something else'
    : undefined;
}
