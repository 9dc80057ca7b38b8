import type { Tensor } from '@cabstand/tensor';
import type { EventQueue } from '../protocol/event-queue';
import type { LivePart } from '../protocol/types';

/** Input of a turn as it comes. */
export class MockParts implements AsyncIterable<readonly Tensor[]> {
  readonly #parts: (readonly Tensor[])[] = [];
  #ended = false;
  #wake: (() => void) | undefined;

  /** @param whole all there is, or undefined where parts follow */
  constructor(whole: readonly Tensor[] | undefined) {
    if (whole === undefined) return;
    this.#parts.push(whole);
    this.#ended = true;
  }

  add(part: LivePart): void {
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
      const part = this.#parts.shift();
      if (part !== undefined) yield part;
      else if (this.#ended) return;
      else
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
    }
  }

  /** The same, telling the sender of each part that it was taken. */
  async *announced(queue: EventQueue, turn: number): AsyncGenerator<readonly Tensor[]> {
    let taken = 0;
    for await (const part of this) {
      taken++;
      queue.push({ type: 'accepted', turn, nextPart: taken });
      yield part;
    }
  }
}
