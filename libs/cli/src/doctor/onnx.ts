import { execFile } from 'node:child_process';
import path from 'node:path';
import { fail, ok, warn } from './finding';
import type { Finding } from './finding';
import type { ProbeResult } from './onnx-probe';

const PROVIDERS = ['cpu', 'webgpu', 'cuda', 'tensorrt'] as const;
type Provider = (typeof PROVIDERS)[number];

const TIMEOUT_MS = 30_000;

/** Whether ONNX Runtime loads and computes, on each provider. */
export async function checkOnnx(signal: AbortSignal): Promise<Finding[]> {
  const findings: Finding[] = [];
  // One after another: they would compete for the same device.
  for (const provider of PROVIDERS)
    findings.push(describe(provider, await runProbe(provider, signal)));
  return findings;
}

function describe(provider: Provider, result: ProbeResult): Finding {
  const name = `onnx ${provider}`;
  if (result.ok) return ok(name, `ONNX Runtime ${result.message} loads and runs`);
  if (provider === 'cpu')
    return fail(
      name,
      result.message,
      'Run `npm ci` on this machine: onnxruntime-node carries a binary per platform (linux x64 and arm64, macOS arm64, Windows).',
    );
  // Only models that ask for them need these.
  return warn(name, `not available: ${shorten(result.message)}`, ADVICE[provider]);
}

const ADVICE: Readonly<Record<Exclude<Provider, 'cpu'>, string>> = {
  webgpu:
    'Fine unless a model lists it. It needs a GPU with a Vulkan driver (or Metal, Direct3D 12).',
  cuda: 'Fine unless a model lists it. It needs an NVIDIA GPU, CUDA 13, cuDNN 9, and the provider of ONNX Runtime for it: deploy/Dockerfile.gpu brings all but the driver.',
  tensorrt: 'Fine unless a model lists it. It needs TensorRT 10 besides what cuda needs.',
};

function shorten(message: string): string {
  // The place in ONNX Runtime's sources says nothing to a user.
  const text = message.replace(/^.*\bwas false\. /, '').split('\n')[0] ?? '';
  return text.length > 160 ? `${text.slice(0, 160)}…` : text;
}

function runProbe(provider: Provider, signal: AbortSignal): Promise<ProbeResult> {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [path.join(__dirname, 'onnx-probe.js'), provider],
      { timeout: TIMEOUT_MS, killSignal: 'SIGKILL', signal, maxBuffer: 4e6 },
      (error, stdout) => {
        const line = stdout.trim().split('\n').at(-1) ?? '';
        try {
          resolve(JSON.parse(line) as ProbeResult);
        } catch {
          const how =
            error?.killed === true
              ? `no answer within ${TIMEOUT_MS / 1000} s`
              : (error?.signal ?? `exit code ${String(error?.code)}`);
          resolve({ ok: false, message: `its process ended (${how})` });
        }
      },
    );
  });
}
