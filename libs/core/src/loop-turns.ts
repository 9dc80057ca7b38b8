/** A turn that took longer, milliseconds, counts as several: a loop that is busy otherwise makes few of them. */
const TURN_MS = 8;
/** Turns that one counts as at most. */
const MOST_TURNS = 8;

/**
 * Does so many things in a turn of the event loop, and what is more in the next ones, so that other events
 * are handled between. Whoever they are for takes turns: a burst of one delays another's first by a turn.
 * Where turns are long, more begins in each: else what waits would wait the longer the more others have to do.
 */
export class LoopTurns {
  readonly #atOnce: number;
  readonly #now: () => number;
  /** By whom they are for, those that wait; whoever is next stands first. */
  readonly #queues = new Map<string, Set<() => void>>();
  #begun = 0;
  #scheduled = false;
  #scheduledAt = 0;
  #waiting = 0;

  /** @param now monotonic milliseconds */
  constructor(atOnce: number, now: () => number) {
    this.#atOnce = atOnce;
    this.#now = now;
  }

  /** Things that wait. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Resolves when something of this one may begin; undefined: at once. */
  enter(whose: string): Promise<void> | undefined {
    if (this.#begins()) return undefined;
    return new Promise((resolve) => this.#add(resolve, whose));
  }

  /** Runs it now, or in one of the next turns. What waits already is not run twice. */
  run(task: () => void, whose = ''): void {
    if (this.#begins()) task();
    else this.#add(task, whose);
  }

  #begins(): boolean {
    this.#schedule();
    if (this.#queues.size > 0 || this.#begun >= this.#atOnce) return false;
    this.#begun += 1;
    return true;
  }

  #add(task: () => void, whose: string): void {
    const queue = this.#queues.get(whose) ?? new Set();
    this.#queues.set(whose, queue);
    if (queue.has(task)) return;
    queue.add(task);
    this.#waiting += 1;
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#scheduledAt = this.#now();
    setImmediate(() => this.#turn());
  }

  #turn(): void {
    this.#scheduled = false;
    this.#begun = 0;
    const turns = Math.min(MOST_TURNS, Math.max(1, (this.#now() - this.#scheduledAt) / TURN_MS));
    const most = Math.ceil(this.#atOnce * turns);
    while (this.#begun < most) {
      const [next] = this.#queues;
      if (next === undefined) break;
      const [whose, queue] = next;
      this.#queues.delete(whose);
      const [task] = queue;
      if (task === undefined) continue;
      queue.delete(task);
      this.#waiting -= 1;
      if (queue.size > 0) this.#queues.set(whose, queue);
      this.#begun += 1;
      task();
    }
    if (this.#begun > 0) this.#schedule();
  }
}
