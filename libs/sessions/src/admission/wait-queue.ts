import { CabstandError, Counts, abortReason } from '@cabstand/core';
import type { Clock, Timer } from '@cabstand/core';

interface Waiter<T> {
  readonly key: string;
  readonly urgent: boolean;
  readonly principal: string;
  readonly priority: number;
  readonly entitled: () => boolean;
  readonly attempt: () => T | undefined;
  readonly onPosition: (position: number) => void;
  readonly refusal: () => CabstandError;
  readonly settle: (outcome: { readonly value: T } | { readonly error: unknown }) => void;
  position: number;
}

export interface WaitOptions<T> {
  /** Whoever waits for the same thing is served in order. */
  readonly key: string;
  /** Goes before those who are not. Default false. */
  readonly urgent?: boolean;
  /** Principals are served in turn. */
  readonly principal: string;
  /** Higher goes first among those of one principal, and of one turn. */
  readonly priority: number;
  /** Whether it has a right to it, and goes before those that only borrow. Default: it has. */
  readonly entitled?: () => boolean;
  /** Tries to get it: undefined while there is none. */
  readonly attempt: () => T | undefined;
  /** Told its place, from 1, at first and whenever it changes. */
  readonly onPosition: (position: number) => void;
  readonly signal: AbortSignal;
  readonly waitMs: number;
  /** What to throw when it takes longer than `waitMs`, or has to make way for another principal. */
  readonly refusal: () => CabstandError;
}

/**
 * A bounded queue that serves principals in turn, then by priority, then whoever came first: what one
 * principal has waiting delays another's first by one turn at most. Where it is full, the last of the
 * principal that has most waiting makes way for one that has at least two fewer: nobody fills it alone.
 */
export class WaitQueue<T> {
  readonly #waiting = new Set<Waiter<T>>();
  readonly #clock: Clock;
  readonly #limit: number;
  /** How many turns principals have had that wait or were served in the newest one. */
  readonly #turns = new Map<string, number>();
  #turn = 0;

  constructor(limit: number, clock: Clock) {
    this.#limit = limit;
    this.#clock = clock;
  }

  get length(): number {
    return this.#waiting.size;
  }

  /** Whether the principal may wait, perhaps in the place of another's. */
  hasRoom(principal: string): boolean {
    return !this.#full || this.#displaced(principal) !== undefined;
  }

  get #full(): boolean {
    return this.#waiting.size >= this.#limit;
  }

  lengthOf(key: string): number {
    let count = 0;
    for (const waiter of this.#waiting) if (waiter.key === key) count++;
    return count;
  }

  wait(options: WaitOptions<T>): Promise<T> {
    const {
      key,
      urgent = false,
      principal,
      priority,
      attempt,
      onPosition,
      signal,
      waitMs,
      refusal,
    } = options;
    const { entitled = () => true } = options;
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
        principal,
        priority,
        entitled,
        attempt,
        onPosition,
        position: 0,
        refusal,
        settle: (outcome) => {
          if (!this.#waiting.delete(waiter)) return;
          timer?.cancel();
          signal.removeEventListener('abort', onAbort);
          if ('value' in outcome) resolve(outcome.value);
          else reject(CabstandError.from(outcome.error));
          this.#renumber();
        },
      };
      if (this.#full) {
        const displaced = this.#displaced(principal);
        displaced?.settle({ error: displaced.refusal() });
      }
      this.#waiting.add(waiter);
      signal.addEventListener('abort', onAbort, { once: true });
      timer = this.#clock.setTimer(() => waiter.settle({ error: refusal() }), waitMs);
      this.#renumber();
    });
  }

  /** Something may have become free: lets in whom it can, in order. */
  serve(): void {
    this.#serve((waiter) => waiter.entitled());
    this.#serve(() => true);
  }

  #serve(whom: (waiter: Waiter<T>) => boolean): void {
    // Who is urgent may get what others do not, and one principal what another does not.
    const stuck = new Set<string>();
    for (const waiter of this.#inOrder()) {
      if (stuck.has(stuckKey(waiter)) || !this.#waiting.has(waiter)) continue;
      try {
        if (!whom(waiter)) continue;
        const value = waiter.attempt();
        if (value === undefined) stuck.add(stuckKey(waiter));
        else {
          this.#served(waiter);
          waiter.settle({ value });
        }
      } catch (error) {
        waiter.settle({ error });
      }
    }
  }

  rejectAll(error: CabstandError): void {
    for (const waiter of [...this.#waiting]) waiter.settle({ error });
  }

  /** Who makes way for one of this principal: never one that goes on from elsewhere. */
  #displaced(principal: string): Waiter<T> | undefined {
    const counts = new Counts<string>();
    for (const waiter of this.#waiting) counts.add(waiter.principal);
    const order = this.#inOrder().filter((waiter) => !waiter.urgent);
    const most = Math.max(...order.map((waiter) => counts.of(waiter.principal)), 0);
    if (most < counts.of(principal) + 2) return undefined;
    return order.findLast((waiter) => counts.of(waiter.principal) === most);
  }

  #inOrder(): Waiter<T>[] {
    const all = [...this.#waiting].sort((a, b) => b.priority - a.priority);
    const next = new Map<string, number>();
    const turns = new Map<Waiter<T>, number>();
    // Those of a principal that are urgent come in its first turns.
    for (const waiter of [...all.filter(isUrgent), ...all.filter((one) => !isUrgent(one))]) {
      const { principal } = waiter;
      const turn = next.get(principal) ?? Math.max(this.#turn, this.#turns.get(principal) ?? 0);
      next.set(principal, turn + 1);
      turns.set(waiter, turn);
    }
    const turnOf = (waiter: Waiter<T>): number => turns.get(waiter) ?? 0;
    return all.sort((a, b) => Number(b.urgent) - Number(a.urgent) || turnOf(a) - turnOf(b));
  }

  #served({ principal }: Waiter<T>): void {
    const turn = Math.max(this.#turn, this.#turns.get(principal) ?? 0);
    if (turn > this.#turn) {
      this.#turn = turn;
      for (const [other, next] of this.#turns) if (next <= turn) this.#turns.delete(other);
    }
    this.#turns.set(principal, turn + 1);
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

const isUrgent = ({ urgent }: { readonly urgent: boolean }): boolean => urgent;

const stuckKey = ({
  key,
  urgent,
  principal,
}: Pick<Waiter<unknown>, 'key' | 'urgent' | 'principal'>): string =>
  `${urgent ? 'urgent' : 'normal'} ${key} ${principal}`;
