import { CabstandError, abortReason, toReason } from '@cabstand/core';
import type { FailedFrame, LoadFrame, LoadedFrame } from '@cabstand/engine';
import { EngineProcess } from './engine-process';
import type { EngineProcessDeps } from './engine-process';
import type { Spares } from './spares';

export interface LaunchDeps extends EngineProcessDeps {
  readonly spares: Spares;
}

export interface LoadedEngine {
  readonly process: EngineProcess;
  readonly loaded: LoadedFrame;
}

/**
 * Lets an engine load its model: a spare if there is one, else one that is started now. Throws what the
 * engine says is wrong (MODEL_FAILED, VERIFICATION_FAILED, MANIFEST_INVALID …), ENGINE_CRASHED when it
 * dies over it, ENGINE_STALLED when it is silent too long; the process is gone then.
 */
export async function launchEngine(
  deps: LaunchDeps,
  load: LoadFrame,
  onStage: (stage: string) => void,
  signal: AbortSignal,
): Promise<LoadedEngine> {
  const { spares, options, log } = deps;
  const release = spares.hold();
  try {
    onStage('starting');
    const spare = await spares.take(signal)?.catch(() => undefined);
    if (spare !== undefined) {
      // It may have died or been stopped while nobody looked, which is not the model's doing.
      const attempt = await loadInto(spare, options.stallMs, deps, load, onStage, signal);
      if (!('unheard' in attempt)) return attempt;
      log.warn(
        { engine_pid: spare.pid },
        `the spare engine was of no use: ${attempt.unheard.message}`,
      );
    }
    const fresh = await EngineProcess.start(deps, signal);
    const attempt = await loadInto(fresh, options.loadTimeoutMs, deps, load, onStage, signal);
    if ('unheard' in attempt) throw attempt.unheard;
    return attempt;
  } finally {
    release();
  }
}

/** `firstMs`: how long the first frame after LOAD may take. `unheard`: why there was none. */
async function loadInto(
  process: EngineProcess,
  firstMs: number,
  { clock, options, log }: LaunchDeps,
  load: LoadFrame,
  onStage: (stage: string) => void,
  signal: AbortSignal,
): Promise<LoadedEngine | { readonly unheard: CabstandError }> {
  const said = { anything: false };
  let stopWaiting = (): void => undefined;
  try {
    const loaded = await new Promise<LoadedFrame>((resolve, reject) => {
      const silenceOf = (ms: number) =>
        clock.setTimer(() => {
          reject(
            new CabstandError(
              'ENGINE_STALLED',
              `the engine said nothing for ${ms} ms while it loaded`,
              { metadata: { cause: 'load_timeout' } },
            ),
          );
        }, ms);
      let timer = silenceOf(firstMs);
      const onAbort = (): void => {
        reject(abortReason(signal));
      };
      stopWaiting = () => {
        timer.cancel();
        signal.removeEventListener('abort', onAbort);
        process.onFrame = () => undefined;
      };
      signal.addEventListener('abort', onAbort, { once: true });
      if (signal.aborted) onAbort();
      void process.exited.then((exit) => {
        reject(exit.error);
      });
      process.onFrame = (frame) => {
        said.anything = true;
        timer.cancel();
        timer = silenceOf(options.loadTimeoutMs);
        if (frame.type === 'PROGRESS') onStage(frame.stage);
        // What a module's code says while it loads, and the line that it failed at.
        else if (frame.type === 'LOG')
          log[frame.level](
            { folder: load.folder, version: load.version },
            `module: ${frame.message}`,
          );
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
    if (said.anything || signal.aborted) throw typed;
    return { unheard: typed };
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
