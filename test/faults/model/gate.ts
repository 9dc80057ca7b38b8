/** Lets through as many as it is told to, and then all of them. */
export class Gate {
  #left = 0;
  #waiting: (() => void)[] = [];

  /** So many more may pass. */
  let(count: number): void {
    this.#left += count;
    while (this.#left > 0 && this.#waiting.length > 0) {
      this.#left--;
      this.#waiting.shift()?.();
    }
  }

  open(): void {
    this.let(Infinity);
  }

  pass(): Promise<void> {
    if (this.#left > 0) {
      this.#left--;
      return Promise.resolve();
    }
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
    });
  }
}
