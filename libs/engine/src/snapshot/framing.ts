/** What a snapshot holds of one framed input: carried items, and what earlier turns left over. */
import type { FramedInput, InputSpec } from '@cabstand/model';
import { DTYPES, elementCount } from '@cabstand/tensor';
import type { NumericArray } from '@cabstand/tensor';
import { bytesOf } from '../graphs/batch-tensor';
import { dataOf, encodeHead, readExactly, u32, unfit } from './bytes';
import type { ByteReader, Head } from './bytes';

/** What a frame cutter holds besides the input of the running turn. */
export interface SavedFraming {
  /** Items of the next frame that the last one held already: 0, or what overlaps. */
  readonly seen: number;
  /** [outer, carry, inner] */
  readonly carried: NumericArray;
  /** Left over by earlier turns: [outer, items, inner]. */
  readonly kept: NumericArray;
}

/** As `SavedFraming`, with data as bytes. */
export interface LoadedFraming {
  readonly seen: number;
  readonly carried: Buffer;
  readonly kept: Buffer;
}

export class FramingFormat {
  /** No section is larger, in bytes. */
  readonly largest: number;
  readonly #framing: FramedInput;
  readonly #carried: Head;
  readonly #carriedHead: Buffer;
  /** Elements of one item along the framed axis. */
  readonly #itemElements: number;
  /** Items that can be left over. */
  readonly #most: number;

  /** @param all framed inputs of the model: one waits for the frames of the others */
  constructor(
    framing: FramedInput,
    { name, dtype, shape }: InputSpec,
    all: readonly FramedInput[],
  ) {
    const sizes = shape.map((size) => (typeof size === 'number' ? size : 1));
    this.#framing = framing;
    this.#carried = { name, dtype, shape: sizes.with(framing.axis, framing.carry) };
    this.#carriedHead = encodeHead(this.#carried);
    this.#itemElements = elementCount(sizes.with(framing.axis, 1));
    this.#most = Math.max(...all.map((one) => Math.ceil((one.frame * framing.hop) / one.hop))) - 1;
    this.largest =
      4 +
      2 * this.#carriedHead.length +
      (framing.carry + this.#most + 1) * this.#itemElements * DTYPES[dtype].bytes;
  }

  write({ seen, carried, kept }: SavedFraming): Uint8Array[] {
    const { dtype, name, shape } = this.#carried;
    const items = kept.length / this.#itemElements;
    const keptHead = encodeHead({ name, dtype, shape: shape.with(this.#framing.axis, items) });
    return [u32(seen), this.#carriedHead, bytesOf(carried), keptHead, bytesOf(kept)];
  }

  /** @throws CabstandError CHECKPOINT_INVALID for what such an input cannot have. */
  read(reader: ByteReader): LoadedFraming {
    const { axis, frame, hop } = this.#framing;
    const seen = reader.u32();
    if (seen !== 0 && seen !== frame - hop)
      throw unfit('state', `${seen} items overlap, expected ${frame - hop}`);
    const carried = readExactly(reader, this.#carried);
    const head = reader.head();
    const items = head.shape[axis] ?? 0;
    if (items > this.#most)
      throw unfit('state', `${items} items left over, expected at most ${this.#most}`);
    const shape = this.#carried.shape.with(axis, items);
    return { seen, carried, kept: dataOf(reader, head, { ...this.#carried, shape }) };
  }
}
