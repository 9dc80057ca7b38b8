import { CabstandError, abortReason } from '@cabstand/core';
import type { Clock, Timer } from '@cabstand/core';

interface Waiter<T> {
  readonly key: string;
  readonly urgent: boolean;
  readonly attempt: () => T | undefined;
  readonly onPosition: (position: number) => void;
  readonly settle: (outcome: { readonly value: T } | { readonly error: unknown }) => void;
  position: number;
}

export interface WaitOptions<T> {
  /** Whoever waits for the same thing is served in order. */
  readonly key: string;
  /** Goes before those who are not. Default false. */
  readonly urgent?: boolean;
  /** Tries to get it: undefined while there is none. */
  readonly attempt: () => T | undefined;
  /** Told its place, from 1, at first and whenever it changes. */
  readonly onPosition: (position: number) => void;
  readonly signal: AbortSignal;
  /** What to throw when it takes longer than this. */
  readonly waitMs: number;
  readonly timedOut: () => CabstandError;
}

/** A bounded first-come queue. */
export class WaitQueue<T> {
  readonly #waiting = new Set<Waiter<T>>();
  readonly #clock: Clock;
  readonly #limit: number;

  constructor(limit: number, clock: Clock) {
    this.#limit = limit;
    this.#clock = clock;
  }

  get length(): number {
    return this.#waiting.size;
  }

  get full(): boolean {
    return this.#waiting.size >= this.#limit;
  }

  lengthOf(key: string): number {
    let count = 0;
    for (const waiter of this.#waiting) if (waiter.key === key) count++;
    return count;
  }

  wait(options: WaitOptions<T>): Promise<T> {
    const { key, urgent = false, attempt, onPosition, signal, waitMs, timedOut } = options;
    return new Promise<T>((resolve, reject) => {
      if (signal.aborted) {
        reject(abortReason(signal));
        return;
      }
      let timer: Timer | undefined = undefined;
      const onAbort = (): void => waiter.settle({ error: abortReason(signal) });
      const waiter: Waiter<T> = {
        key,
        urgent,
        attempt,
        onPosition,
        position: 0,
        settle: (outcome) => {
          if (!this.#waiting.delete(waiter)) return;
          timer?.cancel();
          signal.removeEventListener('abort', onAbort);
          if ('value' in outcome) resolve(outcome.value);
          else reject(CabstandError.from(outcome.error));
          this.#renumber();
        },
      };
      this.#waiting.add(waiter);
      signal.addEventListener('abort', onAbort, { once: true });
      timer = this.#clock.setTimer(() => waiter.settle({ error: timedOut() }), waitMs);
      this.#renumber();
    });
  }

  /** Something may have become free: lets in whom it can, in order. */
  serve(): void {
    // Who is urgent may get what others do not.
    const stuck = new Set<string>();
    for (const waiter of this.#inOrder()) {
      if (stuck.has(stuckKey(waiter)) || !this.#waiting.has(waiter)) continue;
      try {
        const value = waiter.attempt();
        if (value === undefined) stuck.add(stuckKey(waiter));
        else waiter.settle({ value });
      } catch (error) {
        waiter.settle({ error });
      }
    }
  }

  rejectAll(error: CabstandError): void {
    for (const waiter of [...this.#waiting]) waiter.settle({ error });
  }

  #inOrder(): Waiter<T>[] {
    const all = [...this.#waiting];
    return [...all.filter(({ urgent }) => urgent), ...all.filter(({ urgent }) => !urgent)];
  }

  #renumber(): void {
    const counts = new Map<string, number>();
    for (const waiter of this.#inOrder()) {
      const position = (counts.get(waiter.key) ?? 0) + 1;
      counts.set(waiter.key, position);
      if (waiter.position === position) continue;
      waiter.position = position;
      waiter.onPosition(position);
    }
  }
}

const stuckKey = ({ key, urgent }: { readonly key: string; readonly urgent: boolean }): string =>
  `${urgent ? 'urgent' : 'normal'} ${key}`;
