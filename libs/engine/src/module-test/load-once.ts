/** Loads a model as a hoster would, in a process of its own, and unloads it again. */
import type { Manifest, Provider } from '@cabstand/model';
import type { LoadedFrame } from '../frames/types';
import { EngineChild } from './engine-child';

export interface LoadOptions {
  readonly provider: Provider;
  readonly threads: number;
  /** Also compare it with what it must give. A module is not. */
  readonly verify: boolean;
  readonly maxMessageBytes: number;
  readonly onProgress: (stage: string) => void;
  readonly signal: AbortSignal | undefined;
}

/** @throws CabstandError why it cannot be served: MODULE_FAILED, MODEL_FAILED, VERIFICATION_FAILED, ENGINE_CRASHED. */
export async function loadOnce(manifest: Manifest, options: LoadOptions): Promise<LoadedFrame> {
  const { folder, version, variant, digest } = manifest;
  const { provider, threads, verify, maxMessageBytes, onProgress, signal } = options;
  signal?.throwIfAborted();
  await using engine = await EngineChild.start();
  const kill = (): void => engine.kill();
  signal?.addEventListener('abort', kill, { once: true });
  try {
    const known = { folder, version, digest, ...(variant !== undefined && { variant }) };
    const asked = { provider, threads, maxMessageBytes, nice: 0, verify };
    return await engine.load({ ...known, ...asked, maxBatch: 1, maxSequences: 1 }, onProgress);
  } finally {
    signal?.removeEventListener('abort', kill);
  }
}
