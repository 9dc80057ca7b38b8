/** Parts of live input that are not used up, and what they hold: whether that is enough for a frame. */
import type { FramedInput } from '@cabstand/model';
import type { Tensor } from '@cabstand/tensor';

/** What a part holds. */
export interface Weight {
  readonly bytes: number;
  /** Along the framed axis of each framed input. */
  readonly items: readonly number[];
}

export class PartQueue {
  readonly #framed: readonly FramedInput[];
  readonly #none: Weight;
  readonly #items: number[];
  #parts: Weight[] = [];
  #bytes = 0;

  constructor(framed: readonly FramedInput[]) {
    this.#framed = framed;
    this.#items = framed.map(() => 0);
    this.#none = { bytes: 0, items: [...this.#items] };
  }

  get length(): number {
    return this.#parts.length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** @param weight default: of a part of which nothing is known but that it is there. */
  push(weight = this.#none): void {
    this.#add(weight, 1);
  }

  shift(): void {
    const used = this.#parts.shift();
    if (used !== undefined) this.#add(used, -1);
  }

  clear(): void {
    while (this.#parts.length > 0) this.shift();
  }

  /**
   * The framed input of which the parts hold less than a frame, and how much; undefined where there is none.
   * The first part does not count: it may be used up but for its last item.
   */
  get short(): { readonly input: FramedInput; readonly items: number } | undefined {
    const first = this.#parts[0];
    for (const [index, input] of this.#framed.entries()) {
      const items = this.#items[index] ?? 0;
      if (items - (first?.items[index] ?? 0) < input.frame) return { input, items };
    }
    return undefined;
  }

  #add(weight: Weight, sign: 1 | -1): void {
    if (sign === 1) this.#parts.push(weight);
    this.#bytes += sign * weight.bytes;
    for (const [index, count] of weight.items.entries())
      this.#items[index] = (this.#items[index] ?? 0) + sign * count;
  }
}

export function weigh(tensors: readonly Tensor[], framed: readonly FramedInput[]): Weight {
  let bytes = 0;
  for (const { data } of tensors) bytes += data.byteLength;
  const items = framed.map(({ input, axis }) => {
    const tensor = tensors.find(({ name }) => name === input);
    return tensor?.shape[axis] ?? 0;
  });
  return { bytes, items };
}
