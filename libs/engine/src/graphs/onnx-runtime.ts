import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { env } from 'onnxruntime-node';
import type { CalledBy } from './graph-session';

/** CPU features that change which kernels ONNX Runtime picks, and so the last bits of results. */
// prettier-ignore
const FEATURES = [
  'sse4_1', 'avx', 'avx2', 'fma', 'f16c', 'avx_vnni', 'avx512f', 'avx512_vnni', 'avx512_bf16', 'amx_int8',
  'asimd', 'asimddp', 'asimdhp', 'sve', 'i8mm', 'bf16',
] as const;

/** As `runtime` says it. */
const WAYS: Readonly<Record<CalledBy, string>> = {
  'c-api': ' (C API)',
  'io-binding': ' (C API, I/O binding)',
  binding: '',
};

/**
 * "onnxruntime 1.30.0 (C API); x64 avx avx2 fma": what a measured batch class depends on.
 *
 * @param calledBy where a model is loaded
 */
export function describeRuntime(calledBy?: CalledBy): string {
  const version = env.versions.node ?? env.versions.common;
  const how = calledBy === undefined ? '' : WAYS[calledBy];
  return `onnxruntime ${version}${how}; ${process.arch} ${cpuFeatures()}`;
}

function cpuFeatures(): string {
  try {
    const flags = /^(?:flags|Features)\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1];
    const known = new Set(flags?.trim().split(/\s+/));
    const found = FEATURES.filter((feature) => known.has(feature));
    if (found.length > 0) return found.join(' ');
  } catch {
    // Not Linux: the model's name stands for its features.
  }
  return cpus()[0]?.model.trim() ?? 'unknown CPU';
}
