/**
 * Does so many things in a turn of the event loop, and what is more in the next ones, so that other events
 * are handled between. Whoever they are for takes turns: a burst of one delays another's first by a turn.
 */
export class LoopTurns {
  readonly #atOnce: number;
  /** By whom they are for, those that wait; whoever is next stands first. */
  readonly #queues = new Map<string, Set<() => void>>();
  #begun = 0;
  #scheduled = false;

  constructor(atOnce: number) {
    this.#atOnce = atOnce;
  }

  /** Things that wait. */
  get waiting(): number {
    let waiting = 0;
    for (const queue of this.#queues.values()) waiting += queue.size;
    return waiting;
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
    const queue = this.#queues.get(whose);
    if (queue === undefined) this.#queues.set(whose, new Set([task]));
    else queue.add(task);
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => this.#turn());
  }

  #turn(): void {
    this.#scheduled = false;
    this.#begun = 0;
    while (this.#begun < this.#atOnce) {
      const [next] = this.#queues;
      if (next === undefined) break;
      const [whose, queue] = next;
      this.#queues.delete(whose);
      const [task] = queue;
      if (task === undefined) continue;
      queue.delete(task);
      if (queue.size > 0) this.#queues.set(whose, queue);
      this.#begun += 1;
      task();
    }
    if (this.#begun > 0) this.#schedule();
  }
}
