import { freemem } from 'node:os';
import { stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { CabstandError } from '@cabstand/core';
import { readGraph } from '@cabstand/model';
import type { Manifest } from '@cabstand/model';

/** An engine before it holds weights: Node and ONNX Runtime. */
export const ENGINE_BYTES = 96 * 1024 * 1024;
/** ONNX Runtime holds weights as read and as laid out for its kernels while it loads. */
const WEIGHTS_FACTOR = 2;
/** Without golden data the graphs are loaded a second time, unoptimised, to be the reference. */
const REFERENCE_FACTOR = 1;

/** What may still be used, within the limits of a container where there is one. */
export function availableMemory(): number {
  return Math.min(process.availableMemory(), freemem());
}

/**
 * An estimate of what an engine for this model needs. Weights may lie in files of their own; what the code of a
 * module loads besides its heap nobody knows.
 */
export async function memoryNeeded(manifest: Manifest): Promise<number> {
  const files = new Set<string>();
  for (const { file } of manifest.graphs) {
    const { externalFiles } = await readGraph(file);
    for (const name of externalFiles) files.add(join(dirname(file), name));
    files.add(file);
  }
  let weights = 0;
  for (const file of files) weights += (await stat(file).catch(() => undefined))?.size ?? 0;
  const heap = (manifest.module?.heapMb ?? 0) * 1024 * 1024;
  const own = manifest.golden.file === undefined ? REFERENCE_FACTOR : 0;
  return ENGINE_BYTES + heap + (WEIGHTS_FACTOR + own) * weights;
}

/** Throws OUT_OF_MEMORY when another engine would not fit: better than to have the kernel choose a victim. */
export function checkMemory(model: string, needed: number, available: number): void {
  if (needed <= available) return;
  throw new CabstandError(
    'OUT_OF_MEMORY',
    `loading ${model} needs about ${needed} bytes of memory, ${available} are free`,
    {
      metadata: { needed_bytes: String(needed), available_bytes: String(available) },
      retryAfterMs: 10_000,
    },
  );
}
