/** Shapes as callers see them. */
import type { Dimension } from '../manifest/signature';
import { PublicNames, isPublicName } from './public-names';

/** Sizes of a graph's tensor: undefined is free without a name. */
export type Dims = readonly (number | string | undefined)[];

/**
 * Free dimensions keep the names that they have in the graph, so that those which are equal stay so; `d0`,
 * `d1`, … stand for names that are none, and for each without a name.
 */
export class FreeDimensions {
  readonly #sizes: Readonly<Record<string, number>>;
  readonly #names = new PublicNames();
  readonly #replaced = new Map<string, string>();
  #count = 0;

  /**
   * @param sizes what the manifest fixes, by the name in the graph.
   * @param used names that shapes of the manifest have.
   */
  constructor(sizes: Readonly<Record<string, number>>, used: readonly string[]) {
    this.#sizes = sizes;
    for (const name of used) this.#names.set(name, name);
  }

  shapeOf(dims: Dims): Dimension[] {
    return dims.map((size) => {
      if (typeof size === 'number') return size;
      if (size === undefined) return this.#next();
      return this.#sizes[size] ?? (isPublicName(size) ? this.#names.of(size) : this.#other(size));
    });
  }

  #other(name: string): string {
    const known = this.#replaced.get(name) ?? this.#next();
    this.#replaced.set(name, known);
    return known;
  }

  #next(): string {
    const name = this.#names.unique(`d${this.#count}`);
    this.#count += 1;
    return name;
  }
}
