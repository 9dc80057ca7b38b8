import { CabstandError } from '@cabstand/core';
import type { KnownModel, LoadedFrame } from '@cabstand/engine';
import type { Serving } from './serving';

/** What an engine is doing, as its supervisor sees it. */
export type EngineState =
  /** A process starts or loads the model. `after`: the death it follows, if any. */
  | { readonly state: 'loading'; readonly stage: string; readonly after: CabstandError | undefined }
  /** The only state in which sequences can be open. */
  | { readonly state: 'serving'; readonly serving: Serving }
  /** Died; the next process starts at `until` (monotonic). */
  | { readonly state: 'backing-off'; readonly until: number; readonly after: CabstandError }
  /** Cannot serve; tried again at `retryAt` if that can help. */
  | {
      readonly state: 'failed';
      readonly error: CabstandError;
      readonly retryAt: number | undefined;
    }
  | { readonly state: 'stopping' }
  | { readonly state: 'stopped' };

/** What the first load measured, so that a restart need not verify again. */
export interface Measured {
  readonly provider: LoadedFrame['provider'];
  readonly known: KnownModel;
}

/** What there is to know of a load. */
export function measuredBy(loaded: LoadedFrame): Measured {
  const { provider, batchClass, maxBatch, goldenError, reference, notes } = loaded;
  const { unbatchedBecause, rowAxes } = loaded;
  return {
    provider,
    known: {
      ...{ batchClass, maxBatch, goldenError, reference, unbatchedBecause, notes },
      ...(rowAxes !== undefined && { rowAxes }),
    },
  };
}

/** The same model once an audit has found that its rows depend on one another. */
export function audited(loaded: LoadedFrame, because: string): LoadedFrame {
  return { ...loaded, batchClass: 'unbatched', maxBatch: 1, unbatchedBecause: because };
}

/** What a caller that wants a sequence is told in a state that has none. */
export function whyNot(model: string, state: EngineState, now: number): CabstandError {
  const loading = (after: CabstandError | undefined, retryAfterMs: number): CabstandError =>
    after === undefined
      ? new CabstandError('MODEL_LOADING', `${model} is loading`, { retryAfterMs })
      : new CabstandError(after.reason, `${model} restarts: ${after.message}`, {
          metadata: after.metadata,
          retryAfterMs,
        });
  switch (state.state) {
    case 'loading':
      return loading(state.after, state.after === undefined ? 1_000 : 200);
    case 'backing-off':
      return loading(state.after, Math.max(200, state.until - now));
    case 'failed':
      return new CabstandError(
        'MODEL_FAILED',
        `${model} cannot be served: ${state.error.message}`,
        {
          metadata: { ...state.error.metadata, cause: state.error.reason },
          ...(state.retryAt === undefined
            ? {}
            : { retryAfterMs: Math.max(0, state.retryAt - now) }),
          cause: state.error,
        },
      );
    case 'serving':
    case 'stopping':
    case 'stopped':
      return new CabstandError('DRAINING', `${model} is being unloaded`);
  }
}
