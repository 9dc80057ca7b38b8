/** Calls that begin within one turn of the event loop: a few milliseconds of checking and opening. */
const AT_ONCE = 8;

/**
 * Lets connections take turns. A burst of calls over one connection would otherwise be checked and begun as
 * a whole, before anything that came from others is even read.
 */
export class Turns {
  /** By connection, those that wait; whoever is next stands first. */
  readonly #queues = new Map<string, (() => void)[]>();
  #begun = 0;
  #scheduled = false;

  /** Calls that wait. */
  get waiting(): number {
    let waiting = 0;
    for (const queue of this.#queues.values()) waiting += queue.length;
    return waiting;
  }

  /** Resolves when a call of this connection may begin; undefined: at once. */
  enter(connection: string): Promise<void> | undefined {
    this.#schedule();
    if (this.#queues.size === 0 && this.#begun < AT_ONCE) {
      this.#begun += 1;
      return undefined;
    }
    return new Promise((resolve) => {
      const queue = this.#queues.get(connection);
      if (queue === undefined) this.#queues.set(connection, [resolve]);
      else queue.push(resolve);
    });
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => this.#turn());
  }

  #turn(): void {
    this.#scheduled = false;
    this.#begun = 0;
    while (this.#begun < AT_ONCE) {
      const next = this.#queues.entries().next().value;
      if (next === undefined) break;
      const [connection, queue] = next;
      this.#queues.delete(connection);
      queue.shift()?.();
      if (queue.length > 0) this.#queues.set(connection, queue);
      this.#begun += 1;
    }
    if (this.#begun > 0) this.#schedule();
  }
}
