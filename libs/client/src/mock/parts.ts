import type { Tensor } from '@cabstand/tensor';
import type { LivePart } from '../protocol/types';

/** Input of a turn as it comes. */
export class MockParts implements AsyncIterable<readonly Tensor[]> {
  readonly #parts: (readonly Tensor[])[] = [];
  readonly #taken: ((sequence: number) => void) | undefined;
  #next = 0;
  #received: number;
  #ended = false;
  #wake: (() => void) | undefined;

  /**
   * @param parts those that are here
   * @param taken told of each part as it is used; undefined where no more follow
   */
  constructor(parts: readonly (readonly Tensor[])[], taken?: (sequence: number) => void) {
    this.#parts.push(...parts);
    this.#received = parts.length;
    this.#taken = taken;
    this.#ended = taken === undefined;
  }

  /** Those that were used, for a checkpoint. */
  get applied(): readonly (readonly Tensor[])[] {
    return this.#parts.slice(0, this.#next);
  }

  /** One that came before is ignored. */
  add(part: LivePart): void {
    if (part.sequence < this.#received) return;
    this.#received++;
    if (part.tensors.length > 0) this.#parts.push(part.tensors);
    if (part.last) this.#ended = true;
    this.#wake?.();
  }

  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<readonly Tensor[]> {
    for (;;) {
      const part = this.#parts[this.#next];
      if (part !== undefined) {
        const sequence = this.#next++;
        this.#taken?.(sequence);
        yield part;
      } else if (this.#ended) return;
      else
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
    }
  }

  /** How many parts were used. */
  get used(): number {
    return this.#next;
  }
}
