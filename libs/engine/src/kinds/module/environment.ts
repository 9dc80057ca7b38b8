/** What an author's `load` is given: tools, so that his file has to import none. */
import { join } from 'node:path';
import { Tensor } from 'onnxruntime-node';
import type { InferenceSession } from 'onnxruntime-node';
import type { Provider } from '@cabstand/model';
import { openBinding } from '../../graphs/binding';
import type { AuthorLog } from './author-log';
import { Batcher } from './batcher';
import type { BatcherOptions, Runnable } from './batcher';
import type { ThreadData } from './messages';

export interface Environment {
  /** Of the version. */
  readonly folder: string;
  /** `config` of model.yaml. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly log: AuthorLog;
  /** The load was given up, or the engine ends. */
  readonly signal: AbortSignal;
  readonly Tensor: typeof Tensor;
  createSession(file: string, options?: InferenceSession.SessionOptions): Promise<InferenceSession>;
  batcher(
    session: Runnable,
    axes: Readonly<Record<string, number>>,
    options?: BatcherOptions,
  ): Pick<Batcher, 'run'>;
  progress(stage: string): void;
}

export function environment(
  {
    folder,
    config,
    provider,
    threads,
  }: Pick<ThreadData, 'folder' | 'config' | 'provider' | 'threads'>,
  log: AuthorLog,
  signal: AbortSignal,
  progress: (stage: string) => void,
): Environment {
  return {
    folder,
    config,
    log,
    signal,
    Tensor,
    progress,
    createSession: async (file, options) => {
      signal.throwIfAborted();
      progress(`loading ${file}`);
      return await openBinding(
        join(folder, file),
        { provider: provider as Provider, threads },
        options,
      );
    },
    batcher: (session, axes, options) => new Batcher(session, axes, options),
  };
}
