/** Sessions of onnxruntime-node. */
import { dirname } from 'node:path';
import { InferenceSession } from 'onnxruntime-node';
import { CabstandError } from '@cabstand/core';
import type { Provider } from '@cabstand/model';
import type { CallBy } from '../frames/types';

export interface SessionOptions {
  readonly provider: Provider;
  /** Intra-op threads. */
  readonly threads: number;
  /** How ONNX Runtime is called. Default auto: by its C API where that works, otherwise by the binding. */
  readonly runtime?: CallBy;
}

/**
 * @param options what else ONNX Runtime is told; provider and threads stay
 * @param bytes to be loaded in place of what is in the file; weights outside it are sought beside it
 * @throws CabstandError MODEL_FAILED naming file and provider.
 */
export async function openBinding(
  file: string,
  { provider, threads }: SessionOptions,
  options: InferenceSession.SessionOptions = {},
  bytes?: Uint8Array,
): Promise<InferenceSession> {
  try {
    const settings = {
      ...options,
      executionProviders: [provider],
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      executionMode: 'sequential' as const,
      logSeverityLevel: 3 as const,
      // Threads that spin between steps take the cores of other engines.
      extra: {
        session: {
          ...{ intra_op: { allow_spinning: '0' }, inter_op: { allow_spinning: '0' } },
          ...(bytes !== undefined && {
            model_external_initializers_file_folder_path: dirname(file),
          }),
        },
      },
    };
    return bytes === undefined
      ? await InferenceSession.create(file, settings)
      : await InferenceSession.create(bytes, settings);
  } catch (cause) {
    const { message } = CabstandError.from(cause);
    throw new CabstandError('MODEL_FAILED', `${file}: provider ${provider}: ${message}`, {
      metadata: { file, provider },
      cause,
    });
  }
}
