/** What is told in one turn of the event loop: some 1 ms of work. */
const MOST_A_TURN = 25;

/**
 * Many watchers are due at the same moment. Some are woken in each turn of the event loop, so that other
 * calls come between.
 */
export class Turns {
  readonly #line = new Set<() => void>();
  #left = MOST_A_TURN;
  #scheduled = false;

  /** Runs it now, or in one of the next turns, after those that came before. */
  run(wake: () => void): void {
    if (this.#left > 0) {
      this.#left--;
      wake();
    } else this.#line.add(wake);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#left = MOST_A_TURN;
      for (const wake of this.#line) {
        if (this.#left === 0) break;
        this.#line.delete(wake);
        this.#left--;
        wake();
      }
      if (this.#left < MOST_A_TURN) this.#schedule();
    });
  }
}
