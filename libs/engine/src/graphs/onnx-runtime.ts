import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { env } from 'onnxruntime-node';

/** CPU features that change which kernels ONNX Runtime picks, and so the last bits of results. */
// prettier-ignore
const FEATURES = [
  'sse4_1', 'avx', 'avx2', 'fma', 'f16c', 'avx_vnni', 'avx512f', 'avx512_vnni', 'avx512_bf16', 'amx_int8',
  'asimd', 'asimddp', 'asimdhp', 'sve', 'i8mm', 'bf16',
] as const;

/** "onnxruntime 1.30.0; x64 avx avx2 fma": what a measured batch class depends on. */
export function describeRuntime(): string {
  const version = env.versions.node ?? env.versions.common;
  return `onnxruntime ${version}; ${process.arch} ${cpuFeatures()}`;
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
