import type { Tensor } from '@cabstand/tensor';

/** Input of a turn as it comes. */
export class ScriptedParts implements AsyncIterable<readonly Tensor[]> {
  readonly #parts: (readonly Tensor[])[] = [];
  readonly #taken: ((used: number) => void) | undefined;
  #next = 0;
  readonly #told: number;
  #ended = false;
  #wake: (() => void) | undefined;

  /**
   * @param parts those that are here, all of them used before
   * @param taken told of each part as it is used; undefined where no more follow
   * @param next the first that is given now; those before are not needed once more
   */
  constructor(parts: readonly (readonly Tensor[])[], taken?: (used: number) => void, next = 0) {
    this.#next = next;
    this.#parts.push(...parts);
    this.#taken = taken;
    this.#told = taken === undefined ? 0 : parts.length;
    this.#ended = taken === undefined;
  }

  /** Those that were used, for a checkpoint. */
  get applied(): readonly (readonly Tensor[])[] {
    return this.#parts.slice(0, this.used);
  }

  add(tensors: readonly Tensor[], last: boolean): void {
    if (tensors.length > 0 || !last) this.#parts.push(tensors);
    if (last) this.#ended = true;
    this.#wake?.();
  }

  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  /** The next part, if it is here. */
  take(): readonly Tensor[] | undefined {
    const part = this.#parts[this.#next];
    if (part !== undefined) this.#next++;
    return part;
  }

  /** Whether all parts were used. */
  get over(): boolean {
    return this.#ended && this.#next >= this.#parts.length;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<readonly Tensor[]> {
    for (;;) {
      const part = this.#parts[this.#next];
      if (part !== undefined) {
        this.#next++;
        // A model that is asked once more is given what it had before.
        if (this.#next > this.#told) this.#taken?.(this.#next);
        yield part;
      } else if (this.#ended) return;
      else
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
    }
  }

  /** How many parts were used, before a restore too. */
  get used(): number {
    return Math.max(this.#next, this.#told);
  }
}
