/** Snapshots of models whose graphs keep state ↔ bytes. The layout is documented in docs/engine-protocol.md. */
import { KINDS } from '@cabstand/model';
import type { NumericArray } from '@cabstand/tensor';
import type { BoundModel } from '../graphs/bound';
import { bytesOf } from '../graphs/batch-tensor';
import { ByteReader, encodeHead, readExactly, unfit } from './bytes';
import type { Head } from './bytes';
import { FramingFormat } from './framing';
import type { LoadedFraming, SavedFraming } from './framing';
import { SnapshotHeader } from './header';
import { encodeProgress, progressBytes, readProgress } from './progress';
import type { Progress } from './progress';

/** Before the states: `u16 states | u8 framed inputs`. */
const COUNTS_BYTES = 3;

export interface Saved {
  readonly states: readonly NumericArray[];
  /** By framed input; undefined or empty where the model has none. */
  readonly framing: readonly SavedFraming[] | undefined;
  /** Undefined between turns. */
  readonly progress: Progress | undefined;
}

/** What was read: as `Saved`, with data as bytes. Shares memory with what it was read from. */
export interface Loaded {
  readonly states: readonly Buffer[];
  readonly framing: readonly LoadedFraming[];
  readonly progress: Progress | undefined;
}

export class SnapshotFormat {
  readonly #header: SnapshotHeader;
  readonly #counts: Buffer;
  readonly #states: readonly Head[];
  readonly #stateHeads: readonly Buffer[];
  /** By framed input. */
  readonly #framing: readonly FramingFormat[];
  /** No snapshot of this model is larger, in bytes. */
  readonly largest: number;

  constructor({ manifest, states, stateBytes }: BoundModel) {
    const { kind, digest, inputs, framed } = manifest;
    this.#header = new SnapshotHeader(KINDS[kind].snapshotId, digest);
    this.#states = states.map(({ name, dtype, shape }) => ({ name, dtype, shape }));
    this.#stateHeads = this.#states.map(encodeHead);
    this.#framing = framed.flatMap((framing) => {
      const input = inputs.find(({ name }) => name === framing.input);
      return input === undefined ? [] : [new FramingFormat(framing, input, framed)];
    });
    this.#counts = Buffer.alloc(COUNTS_BYTES);
    this.#counts.writeUInt16LE(states.length);
    this.#counts[2] = this.#framing.length;
    let largest = this.#header.largest + COUNTS_BYTES + progressBytes(framed.length) + stateBytes;
    for (const head of this.#stateHeads) largest += head.length;
    for (const framing of this.#framing) largest += framing.largest;
    this.largest = largest;
  }

  write({ states, framing = [], progress }: Saved): Buffer {
    const pieces: Uint8Array[] = [this.#header.write(progress), this.#counts];
    states.forEach((values, index) =>
      pieces.push(this.#stateHeads[index] as Buffer, bytesOf(values)),
    );
    this.#framing.forEach((format, index) => {
      const saved = framing[index];
      if (saved !== undefined) pieces.push(...format.write(saved));
    });
    if (progress !== undefined) pieces.push(encodeProgress(progress));
    return Buffer.concat(pieces);
  }

  /** @throws CabstandError CHECKPOINT_INVALID for anything that is not a snapshot of this model. */
  read(bytes: Uint8Array): Loaded {
    if (bytes.length > this.largest)
      throw unfit('format', `${bytes.length} bytes, expected at most ${this.largest}`);
    const reader = new ByteReader(bytes);
    const position = this.#header.read(reader);
    const count = reader.u16();
    if (count !== this.#states.length)
      throw unfit('state', `${count} states, expected ${this.#states.length}`);
    const framed = reader.u8();
    if (framed !== this.#framing.length)
      throw unfit('state', `${framed} framed inputs, expected ${this.#framing.length}`);
    const states = this.#states.map((expected) => readExactly(reader, expected));
    const framing = this.#framing.map((format) => format.read(reader));
    const progress = position && readProgress(reader, this.#framing.length, position);
    reader.end();
    return { states, framing, progress };
  }
}
