/** Time, so that tests can own it. Milliseconds throughout. */
export interface Clock {
  /** Wall clock, milliseconds since the epoch. */
  now(): number;
  /** Monotonic clock for durations. */
  monotonic(): number;
  /** Calls back once. The timer does not keep the process alive where `unref` is true. */
  setTimer(callback: () => void, delayMs: number, options?: { unref?: boolean }): Timer;
}

export interface Timer {
  cancel(): void;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  setTimer(callback, delayMs, options) {
    const handle = setTimeout(callback, Math.max(0, delayMs));
    if (options?.unref === true) handle.unref();
    return { cancel: () => clearTimeout(handle) };
  },
};

/** Calls `callback` every `periodMs` until cancelled; never two at once. */
export function every(clock: Clock, periodMs: number, callback: () => void): Timer {
  let timer: Timer;
  const arm = (): void => {
    timer = clock.setTimer(
      () => {
        arm();
        callback();
      },
      periodMs,
      { unref: true },
    );
  };
  arm();
  return { cancel: () => timer.cancel() };
}
