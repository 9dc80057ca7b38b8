/** Snapshots of a model's sequences ↔ bytes. The layout is documented in docs/engine-protocol.md. */
import { KINDS } from '@cabstand/model';
import type { ModelKind } from '@cabstand/model';
import { DTYPES, elementCount } from '@cabstand/tensor';
import type { NumericArray } from '@cabstand/tensor';
import type { BoundModel } from '../graphs/bound';
import { bytesOf } from '../graphs/batch-tensor';
import { ByteReader, encodeHead, unfit } from './bytes';
import type { Head } from './bytes';

const MAGIC = 'CSNP';
const VERSION = 1;
const HAS_FRAMING = 1;
const HAS_TURN = 2;
/** Bytes of the hash that tells a turn's parameters. */
export const FINGERPRINT = 16;
const TURN_BYTES = 11 * 4 + FINGERPRINT;

/** How far a turn is. Counts are of the turn as a whole, not since a restore. */
export interface Progress {
  readonly turn: number;
  /** Chunks. */
  readonly records: number;
  readonly steps: number;
  /** Live parts below this number are used up. */
  readonly partsTaken: number;
  /** Items used of the live part after those. */
  readonly partUsed: number;
  /** Used of the input that came with the turn: items along the framed axis; without framing 1 or 0. */
  readonly inputUsed: number;
  readonly stage: number;
  /** Generators: items of the prompt, how many of them were read, the last token, tokens so far. */
  readonly items: number;
  readonly item: number;
  readonly token: number;
  readonly tokens: number;
  /** Tells the parameters of the turn, the seed among them. */
  readonly fingerprint: Buffer;
}

/** What a frame cutter holds besides the input of the running turn. */
export interface SavedFraming {
  /** Items of the next frame that the last one held already: 0, or what overlaps. */
  readonly seen: number;
  /** [outer, carry, inner] */
  readonly carried: NumericArray;
  /** Left over by earlier turns: [outer, items, inner]. */
  readonly kept: NumericArray;
}

export interface Saved {
  readonly states: readonly NumericArray[];
  readonly framing: SavedFraming | undefined;
  /** Undefined between turns. */
  readonly progress: Progress | undefined;
}

/** What was read: as `Saved`, with data as bytes. Shares memory with what it was read from. */
export interface Loaded {
  readonly states: readonly Buffer[];
  readonly framing:
    { readonly seen: number; readonly carried: Buffer; readonly kept: Buffer } | undefined;
  readonly progress: Progress | undefined;
}

export class SnapshotFormat {
  readonly #model: BoundModel;
  /** Everything before the first state but for the sections byte. */
  readonly #begin: Buffer;
  readonly #states: readonly Head[];
  readonly #stateHeads: readonly Buffer[];
  /** Of the carried items. */
  readonly #carried: Head | undefined;
  readonly #carriedHead: Buffer = Buffer.alloc(0);
  /** Elements of one item along the framed axis. */
  readonly #itemElements: number;
  /** No snapshot of this model is larger, in bytes. */
  readonly #largest: number;

  constructor(model: BoundModel) {
    const { kind, digest, inputs } = model.manifest;
    const [framing] = model.manifest.framed;
    this.#model = model;
    this.#begin = encodeBegin(kind, digest, model.states.length);
    this.#states = model.states.map(({ name, dtype, shape }) => ({ name, dtype, shape }));
    this.#stateHeads = this.#states.map(encodeHead);
    const framed = inputs.find(({ name }) => name === framing?.input);
    let largest = this.#begin.length + TURN_BYTES + model.stateBytes;
    for (const head of this.#stateHeads) largest += head.length;
    this.#itemElements = 0;
    if (framing !== undefined && framed !== undefined) {
      const sizes = framed.shape.map((size) => (typeof size === 'number' ? size : 1));
      this.#carried = {
        name: framed.name,
        dtype: framed.dtype,
        shape: sizes.with(framing.axis, framing.carry),
      };
      this.#itemElements = elementCount(sizes.with(framing.axis, 1));
      const items = framing.carry + framing.frame;
      this.#carriedHead = encodeHead(this.#carried);
      largest += 4 + 2 * this.#carriedHead.length;
      largest += items * this.#itemElements * DTYPES[framed.dtype].bytes;
    }
    this.#largest = largest;
  }

  write({ states, framing, progress }: Saved): Buffer {
    const pieces: Uint8Array[] = [this.#begin];
    states.forEach((values, index) =>
      pieces.push(this.#stateHeads[index] as Buffer, bytesOf(values)),
    );
    if (framing !== undefined && this.#carried !== undefined) {
      const { seen, carried, kept } = framing;
      const axis = this.#model.manifest.framed[0]?.axis ?? 0;
      const items = kept.length / this.#itemElements;
      const shape = this.#carried.shape.with(axis, items);
      pieces.push(u32(seen), this.#carriedHead, bytesOf(carried));
      pieces.push(encodeHead({ ...this.#carried, shape }), bytesOf(kept));
    }
    if (progress !== undefined) pieces.push(encodeProgress(progress));
    const bytes = Buffer.concat(pieces);
    bytes[SECTIONS_AT] =
      (framing === undefined ? 0 : HAS_FRAMING) | (progress === undefined ? 0 : HAS_TURN);
    return bytes;
  }

  /** @throws CabstandError CHECKPOINT_INVALID for anything that is not a snapshot of this model. */
  read(bytes: Uint8Array): Loaded {
    if (bytes.length > this.#largest)
      throw unfit('format', `${bytes.length} bytes, expected at most ${this.#largest}`);
    const reader = new ByteReader(bytes);
    if (reader.take(4).toString('latin1') !== MAGIC) throw unfit('format', 'these bytes are none');
    const version = reader.u16();
    if (version !== VERSION) throw unfit('version', `version ${version}, expected ${VERSION}`);
    const kind = reader.u8();
    const sections = reader.u8();
    const { manifest } = this.#model;
    const digest = reader.text();
    if (digest !== manifest.digest)
      throw unfit('model', `of model ${digest.slice(0, 80)}, expected ${manifest.digest}`);
    if (kind !== KINDS[manifest.kind].snapshotId)
      throw unfit('model', `kind ${kind} is not ${manifest.kind}`);
    if (sections > (HAS_FRAMING | HAS_TURN)) throw unfit('format', `sections ${sections}`);
    if ((sections & HAS_FRAMING) !== (this.#carried === undefined ? 0 : HAS_FRAMING))
      throw unfit('state', `carried samples do not fit a model ${manifest.name}`);
    const count = reader.u16();
    if (count !== this.#states.length)
      throw unfit('state', `${count} states, expected ${this.#states.length}`);
    const states = this.#states.map((expected) => readExactly(reader, expected));
    const framing =
      this.#carried === undefined ? undefined : this.#readFraming(reader, this.#carried);
    const progress = (sections & HAS_TURN) === 0 ? undefined : readProgress(reader);
    reader.end();
    return { states, framing, progress };
  }

  #readFraming(reader: ByteReader, expected: Head): NonNullable<Loaded['framing']> {
    const [framing] = this.#model.manifest.framed;
    const { axis, frame, hop } = framing ?? { axis: 0, frame: 0, hop: 0 };
    const seen = reader.u32();
    if (seen !== 0 && seen !== frame - hop)
      throw unfit('state', `${seen} items overlap, expected ${frame - hop}`);
    const carried = readExactly(reader, expected);
    const head = reader.head();
    const items = head.shape[axis] ?? 0;
    if (items >= frame)
      throw unfit('state', `${items} items left over, expected less than a frame`);
    const shape = expected.shape.with(axis, items);
    return { seen, carried, kept: dataOf(reader, head, { ...expected, shape }) };
  }
}

/** Of the byte that says which sections follow. */
const SECTIONS_AT = 7;

function encodeBegin(kind: ModelKind, digest: string, states: number): Buffer {
  const text = Buffer.from(digest);
  const bytes = Buffer.alloc(12 + text.length);
  bytes.write(MAGIC, 'latin1');
  bytes.writeUInt16LE(VERSION, 4);
  bytes[6] = KINDS[kind].snapshotId;
  bytes.writeUInt16LE(text.length, 8);
  text.copy(bytes, 10);
  bytes.writeUInt16LE(states, 10 + text.length);
  return bytes;
}

function readExactly(reader: ByteReader, expected: Head): Buffer {
  return dataOf(reader, reader.head(), expected);
}

function dataOf(reader: ByteReader, head: Head, expected: Head): Buffer {
  const fits =
    head.name === expected.name &&
    head.dtype === expected.dtype &&
    head.shape.length === expected.shape.length &&
    head.shape.every((size, axis) => size === expected.shape[axis]);
  if (!fits) throw unfit('state', `it holds ${describe(head)}, expected ${describe(expected)}`);
  return reader.take(elementCount(expected.shape) * DTYPES[expected.dtype].bytes);
}

function describe({ name, dtype, shape }: Head): string {
  return `${name.slice(0, 80)}: ${dtype} [${shape.join(', ')}]`;
}

function encodeProgress(progress: Progress): Buffer {
  const bytes = Buffer.allocUnsafe(TURN_BYTES);
  const { turn, records, steps, partsTaken, partUsed, inputUsed } = progress;
  const { stage, items, item, token, tokens, fingerprint } = progress;
  let at = 0;
  for (const value of [turn, records, steps, partsTaken, partUsed, inputUsed])
    at = bytes.writeUInt32LE(value, at);
  for (const value of [stage, items, item, token, tokens]) at = bytes.writeUInt32LE(value, at);
  fingerprint.copy(bytes, at);
  return bytes;
}

function readProgress(reader: ByteReader): Progress {
  const [turn, records, steps] = [reader.u32(), reader.u32(), reader.u32()];
  const [partsTaken, partUsed, inputUsed] = [reader.u32(), reader.u32(), reader.u32()];
  const [stage, items, item] = [reader.u32(), reader.u32(), reader.u32()];
  const [token, tokens, fingerprint] = [reader.u32(), reader.u32(), reader.take(FINGERPRINT)];
  return {
    ...{ turn, records, steps, partsTaken, partUsed, inputUsed },
    ...{ stage, items, item, token, tokens, fingerprint: Buffer.from(fingerprint) },
  };
}

function u32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32LE(value, 0);
  return bytes;
}
