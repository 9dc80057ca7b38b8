/** Keys and values of one sequence of a decoder, as long as the tokens that were computed. */
import type { Tensor as OrtTensor } from 'onnxruntime-node';
import { CabstandError } from '@cabstand/core';
import type { CacheLayout, CacheTensor } from '@cabstand/model';
import { bytesPerToken, cacheTensor, newElements } from '../language-model/cache/columns';

type Tensors = Readonly<Record<string, OrtTensor>>;

export class KvCache {
  readonly #layout: CacheLayout;
  /** By the name of the graph's input. */
  #tensors: Tensors;
  #length = 0;

  constructor(layout: CacheLayout) {
    this.#layout = layout;
    this.#tensors = empty(layout);
  }

  /** Tokens in it. */
  get length(): number {
    return this.#length;
  }

  /** Held by it. */
  get bytes(): number {
    return this.#length * bytesPerToken(this.#layout);
  }

  /** What the next run is given. */
  get feeds(): Tensors {
    return this.#tensors;
  }

  /**
   * Replaces it by what a run gave: longer by the tokens that were fed. Where it throws it is as it was.
   *
   * @throws CabstandError MODEL_FAILED where the graph did something else.
   */
  grow(results: Readonly<Record<string, OrtTensor | undefined>>, tokens: number): void {
    const length = this.#length + tokens;
    const next: Record<string, OrtTensor> = {};
    for (const tensor of this.#layout.tensors) {
      const present = results[tensor.present];
      const expected = dimsOf(tensor, length);
      if (present === undefined || expected.some((size, axis) => present.dims[axis] !== size))
        throw new CabstandError(
          'MODEL_FAILED',
          `output ${tensor.present} has shape [${present?.dims.join(', ')}], expected [${expected.join(', ')}]`,
        );
      next[tensor.past] = present;
    }
    this.#tensors = next;
    this.#length = length;
  }

  clear(): void {
    this.#tensors = empty(this.#layout);
    this.#length = 0;
  }
}

function empty(layout: CacheLayout): Tensors {
  const feeds: Record<string, OrtTensor> = {};
  for (const tensor of layout.tensors)
    feeds[tensor.past] = cacheTensor(layout, newElements(layout, 0), dimsOf(tensor, 0));
  return feeds;
}

function dimsOf({ heads, size }: CacheTensor, length: number): number[] {
  return [1, heads, length, size];
}
