/** The author's thread as main sees it: started, told things, and left in order. */
import { Worker } from 'node:worker_threads';
import path from 'node:path';
import { CabstandError } from '@cabstand/core';
import type { ModuleDescription } from '../../frames/module-frames';
import type { ErrorDetail } from './failure';
import type { FromThread, ThreadData, ToThread } from './messages';

export interface WorkerEvents {
  onMessage(message: FromThread): void;
  /** The thread is gone; nothing of its sessions is left. */
  onGone(error: CabstandError): void;
}

export class AuthorWorker {
  readonly #worker: Worker;
  #unloaded: (() => void) | undefined;
  #leaving = false;
  #gone = false;

  private constructor(worker: Worker) {
    this.#worker = worker;
  }

  /**
   * Starts the thread and loads the module.
   *
   * @param heapMb JavaScript heap in MiB; typed arrays do not count
   * @param signal the load is given up: throws its reason once the thread says that it is not in ONNX Runtime, which may be never
   * @throws CabstandError MODULE_FAILED for a module that cannot be used, ENGINE_CRASHED where the thread ends.
   */
  static async load(
    data: ThreadData,
    heapMb: number,
    onMessage: (message: Extract<FromThread, { kind: 'progress' | 'log' }>) => void,
    signal: AbortSignal,
  ): Promise<{ worker: AuthorWorker; module: ModuleDescription }> {
    const thread = new Worker(entry(), {
      workerData: data,
      resourceLimits: { maxOldGenerationSizeMb: heapMb },
    });
    const giveUp = (): void => thread.postMessage({ kind: 'unload' } satisfies ToThread);
    signal.addEventListener('abort', giveUp);
    try {
      const module = await new Promise<ModuleDescription>((resolve, reject) => {
        thread.on('error', (error) => reject(crashed(error, heapMb)));
        thread.on('exit', (code) => reject(exited(code)));
        thread.on('message', (message: FromThread) => {
          if (message.kind === 'loaded') resolve(message.module);
          else if (message.kind === 'progress' || message.kind === 'log') onMessage(message);
          else if (message.kind === 'failed') reject(errorOf(message.error));
          else if (message.kind === 'unloaded') reject(CabstandError.from(signal.reason));
        });
      });
      return { worker: new AuthorWorker(thread), module };
    } catch (error) {
      await thread.terminate();
      throw error;
    } finally {
      signal.removeEventListener('abort', giveUp);
      // Not all of them: a Worker's own listeners are among them.
      for (const event of ['error', 'exit', 'message']) thread.removeAllListeners(event);
      // Until it has an owner; an error without a listener would end the process.
      thread.on('error', () => undefined);
    }
  }

  /** Whoever holds it from now on. */
  listen(events: WorkerEvents, heapMb: number): void {
    const gone = (error: CabstandError): void => {
      this.#gone = true;
      if (!this.#leaving) events.onGone(error);
    };
    this.#worker.on('error', (error) => gone(crashed(error, heapMb)));
    this.#worker.on('exit', (code) => gone(exited(code)));
    this.#worker.on('message', (message: FromThread) => {
      if (message.kind === 'unloaded') this.#unloaded?.();
      else events.onMessage(message);
    });
  }

  /** Seconds in which the thread did not wait for anything. */
  get busySeconds(): number {
    return this.#worker.performance.eventLoopUtilization().active / 1000;
  }

  tell(message: ToThread, transfer: readonly ArrayBuffer[] = []): void {
    this.#worker.postMessage(message, transfer);
  }

  /**
   * Calls the author's `unload` and ends the thread. False where the thread has not answered in time: it may be in ONNX Runtime,
   * and a process that ends its threads there aborts.
   */
  async unload(timeoutMs: number): Promise<boolean> {
    if (this.#gone) return true;
    this.#leaving = true;
    const answered = await new Promise<boolean>((resolve) => {
      const timer = setTimeout(() => resolve(false), timeoutMs);
      const over = (): void => {
        clearTimeout(timer);
        resolve(true);
      };
      this.#unloaded = over;
      this.#worker.once('exit', over);
      this.tell({ kind: 'unload' });
    });
    if (answered) await this.#worker.terminate();
    return answered;
  }
}

function errorOf({ reason, message, metadata }: ErrorDetail): CabstandError {
  return new CabstandError(reason, message, { metadata });
}

function crashed(error: Error, heapMb: number): CabstandError {
  if ('code' in error && error.code === 'ERR_WORKER_OUT_OF_MEMORY')
    return new CabstandError(
      'ENGINE_CRASHED',
      `the module's code needs more JavaScript heap than limits.heap_mb allows, ${heapMb} MiB`,
      { cause: error, metadata: { cause: 'heap', limit_mib: String(heapMb) } },
    );
  return new CabstandError('ENGINE_CRASHED', `the author's thread ended: ${error.message}`, {
    cause: error,
  });
}

function exited(code: number): CabstandError {
  return new CabstandError(
    'ENGINE_CRASHED',
    `the author's thread ended with code ${code}: does the module call process.exit()?`,
  );
}

function entry(): string {
  const root = path.dirname(require.resolve('@cabstand/engine/package.json'));
  return path.join(root, 'dist/kinds/module/thread.js');
}
