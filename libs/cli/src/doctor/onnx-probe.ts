/**
 * A process of its own: runs the smallest model there is (y = x + x) on the provider named in its
 * arguments and prints what happened as JSON. A provider that aborts takes only this process along.
 */
import type * as Ort from 'onnxruntime-node';

const DOUBLE =
  'CAg6NQoOCgF4CgF4EgF5IgNBZGQSAWdaDwoBeBIKCggIARIECgIIAmIPCgF5EgoKCAgBEgQKAggCQgQKABAR';

export interface ProbeResult {
  readonly ok: boolean;
  readonly message: string;
}

async function probe(provider: string): Promise<ProbeResult> {
  process.env['ORT_DISABLE_TELEMETRY'] = '1';
  try {
    // Loaded here: that it does not load is one of the answers.
    const ort: typeof Ort = await import('onnxruntime-node');
    const session = await ort.InferenceSession.create(Buffer.from(DOUBLE, 'base64'), {
      executionProviders: [provider],
      logSeverityLevel: 4,
    });
    const { y } = await session.run({
      x: new ort.Tensor('float32', Float32Array.of(1, 2.5), [2]),
    });
    const data: unknown = await y?.getData();
    const right = data instanceof Float32Array && data[0] === 2 && data[1] === 5;
    return {
      ok: right,
      message: right ? (ort.env.versions.node ?? '') : 'it computes wrong results',
    };
  } catch (error) {
    return { ok: false, message: error instanceof Error ? error.message : String(error) };
  }
}

void probe(process.argv[2] ?? 'cpu').then((result) =>
  process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0)),
);
