import { CabstandError, abortReason, toReason } from '@cabstand/core';
import type { FailedFrame, LoadFrame, LoadedFrame } from '@cabstand/engine';
import { EngineProcess } from './engine-process';
import type { EngineProcessDeps } from './engine-process';

export interface LoadedEngine {
  readonly process: EngineProcess;
  readonly loaded: LoadedFrame;
}

/**
 * Starts an engine and lets it load its model. Throws what the engine says is wrong (MODEL_FAILED,
 * VERIFICATION_FAILED, MANIFEST_INVALID …), ENGINE_CRASHED when it dies over it, ENGINE_STALLED when it
 * is silent too long; the process is gone then.
 */
export async function launchEngine(
  deps: EngineProcessDeps,
  load: LoadFrame,
  onStage: (stage: string) => void,
  signal: AbortSignal,
): Promise<LoadedEngine> {
  const { clock, options } = deps;
  onStage('starting');
  const process = await EngineProcess.start(deps, signal);
  let stopWaiting = (): void => undefined;
  try {
    const loaded = await new Promise<LoadedFrame>((resolve, reject) => {
      const silent = (): void => {
        reject(
          new CabstandError(
            'ENGINE_STALLED',
            `the engine said nothing for ${options.loadTimeoutMs} ms while it loaded`,
            { metadata: { cause: 'load_timeout' } },
          ),
        );
      };
      let timer = clock.setTimer(silent, options.loadTimeoutMs);
      const onAbort = (): void => {
        reject(abortReason(signal));
      };
      stopWaiting = () => {
        timer.cancel();
        signal.removeEventListener('abort', onAbort);
      };
      signal.addEventListener('abort', onAbort, { once: true });
      if (signal.aborted) onAbort();
      void process.exited.then((exit) => {
        reject(exit.error);
      });
      process.onFrame = (frame) => {
        timer.cancel();
        timer = clock.setTimer(silent, options.loadTimeoutMs);
        if (frame.type === 'PROGRESS') onStage(frame.stage);
        else if (frame.type === 'LOADED') resolve(frame);
        else if (frame.type === 'FAILED') reject(failureOf(frame));
        else if (frame.type === 'STATS' && frame.rssBytes > options.maxMemoryBytes)
          process.kill('memory', memoryError(frame.rssBytes, options.maxMemoryBytes));
      };
      process.outbox.send(load);
      process.outbox.flush();
    });
    return { process, loaded };
  } catch (error) {
    const typed = CabstandError.from(error);
    process.kill('load', typed);
    await process.exited;
    throw typed;
  } finally {
    stopWaiting();
  }
}

export function failureOf(frame: FailedFrame): CabstandError {
  return new CabstandError(toReason(frame.reason), frame.message, { metadata: frame.metadata });
}

export function memoryError(rssBytes: number, limit: number): CabstandError {
  return new CabstandError(
    'ENGINE_CRASHED',
    `the engine was killed: it held ${rssBytes} bytes of memory, at most ${limit} are allowed`,
    { metadata: { cause: 'memory', rss_bytes: String(rssBytes), limit_bytes: String(limit) } },
  );
}
