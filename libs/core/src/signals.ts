import { CabstandError } from './errors';
import type { Clock, Timer } from './clock';
import { systemClock } from './clock';
import type { Reason } from './reasons';

/** Throws what the signal was aborted with. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw abortReason(signal);
}

/** What an aborted signal was aborted with, as a CabstandError. */
export function abortReason(signal: AbortSignal): CabstandError {
  return CabstandError.from(signal.reason, 'CANCELLED');
}

/** Resolves after `ms`, or rejects when aborted. */
export function sleep(ms: number, signal?: AbortSignal, clock: Clock = systemClock): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(abortReason(signal));
      return;
    }
    const onAbort = (): void => {
      timer.cancel();
      reject(abortReason(signal as AbortSignal));
    };
    const timer = clock.setTimer(() => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    }, ms);
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/** Waits for `promise`, but not beyond `signal`. The promise itself goes on. */
export function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(abortReason(signal));
    if (signal.aborted) {
      // Nobody will hear of it any more.
      promise.catch(() => undefined);
      onAbort();
      return;
    }
    signal.addEventListener('abort', onAbort, { once: true });
    const release = (): void => signal.removeEventListener('abort', onAbort);
    promise.then(release, release);
    promise.then(resolve, reject);
  });
}

/**
 * `abortable` for thousands of promises that wait for one signal: it has one listener for all of them. To add a
 * listener to a signal, and to take it away, costs what all of them together are.
 */
export function abortableBy(signal: AbortSignal): <T>(promise: Promise<T>) => Promise<T> {
  const waiting = new Set<(error: CabstandError) => void>();
  const onAbort = (): void => {
    for (const reject of waiting) reject(abortReason(signal));
    waiting.clear();
  };
  signal.addEventListener('abort', onAbort, { once: true });
  return (promise) => {
    if (signal.aborted) return abortable(promise, signal);
    return new Promise((resolve, reject) => {
      waiting.add(reject);
      const release = (): void => void waiting.delete(reject);
      promise.then(release, release);
      promise.then(resolve, reject);
    });
  };
}

/** A signal of its own that follows its parents; `[Symbol.dispose]` unlinks it and stops its timer. */
export interface LinkedSignal extends Disposable {
  readonly signal: AbortSignal;
  abort(reason?: unknown): void;
  /** The time until the deadline begins anew; not once it is unlinked. */
  restart(): void;
}

/** Links parents, and optionally a deadline that aborts with `deadline.reason`. */
export function linkSignals(
  parents: readonly (AbortSignal | undefined)[],
  deadline?: {
    readonly ms: number;
    readonly reason?: Reason;
    readonly what: string;
    readonly clock?: Clock;
  },
): LinkedSignal {
  const controller = new AbortController();
  const listeners: [AbortSignal, () => void][] = [];
  for (const parent of parents) {
    if (parent === undefined) continue;
    if (parent.aborted) {
      controller.abort(parent.reason);
      break;
    }
    const listener = (): void => controller.abort(parent.reason);
    parent.addEventListener('abort', listener, { once: true });
    listeners.push([parent, listener]);
  }
  let timer: Timer | undefined;
  let isLinked = true;
  const restart = (): void => {
    timer?.cancel();
    if (deadline === undefined || !Number.isFinite(deadline.ms)) return;
    if (!isLinked || controller.signal.aborted) return;
    timer = (deadline.clock ?? systemClock).setTimer(() => {
      controller.abort(
        new CabstandError(
          deadline.reason ?? 'DEADLINE_EXCEEDED',
          `${deadline.what} took longer than ${deadline.ms} ms`,
        ),
      );
    }, deadline.ms);
  };
  restart();
  return {
    signal: controller.signal,
    abort: (reason) => controller.abort(reason),
    restart,
    [Symbol.dispose]() {
      isLinked = false;
      timer?.cancel();
      for (const [parent, listener] of listeners) parent.removeEventListener('abort', listener);
    },
  };
}
