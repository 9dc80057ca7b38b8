/** Snapshots of a model's sequences ↔ bytes. The layout is documented in docs/engine-protocol.md. */
import { KINDS } from '@cabstand/model';
import type { ModelKind } from '@cabstand/model';
import type { NumericArray } from '@cabstand/tensor';
import type { BoundModel } from '../graphs/bound';
import { bytesOf } from '../graphs/batch-tensor';
import { ByteReader, encodeHead, readExactly, unfit } from './bytes';
import type { Head } from './bytes';
import { FramingFormat } from './framing';
import type { LoadedFraming, SavedFraming } from './framing';
import { encodeProgress, progressBytes, readProgress } from './progress';
import type { Progress } from './progress';

export { FINGERPRINT } from './progress';
export type { Progress } from './progress';

const MAGIC = 'CSNP';
const VERSION = 1;
const HAS_FRAMING = 1;
const HAS_TURN = 2;
const SEVERAL_FRAMINGS = 4;

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
  readonly #model: BoundModel;
  /** Everything before the first state but for the sections byte. */
  readonly #begin: Buffer;
  readonly #states: readonly Head[];
  readonly #stateHeads: readonly Buffer[];
  /** By framed input. */
  readonly #framing: readonly FramingFormat[];
  /** Bits of the sections byte that all snapshots of the model have. */
  readonly #sections: number;
  /** No snapshot of this model is larger, in bytes. */
  readonly largest: number;

  constructor(model: BoundModel) {
    const { kind, digest, inputs, framed } = model.manifest;
    this.#model = model;
    this.#begin = encodeBegin(kind, digest, model.states.length);
    this.#states = model.states.map(({ name, dtype, shape }) => ({ name, dtype, shape }));
    this.#stateHeads = this.#states.map(encodeHead);
    this.#framing = framed.flatMap((framing) => {
      const input = inputs.find(({ name }) => name === framing.input);
      return input === undefined ? [] : [new FramingFormat(framing, input, framed)];
    });
    this.#sections =
      (framed.length > 0 ? HAS_FRAMING : 0) | (framed.length > 1 ? SEVERAL_FRAMINGS : 0);
    let largest = this.#begin.length + progressBytes(framed.length) + model.stateBytes;
    for (const head of this.#stateHeads) largest += head.length;
    for (const framing of this.#framing) largest += framing.largest;
    this.largest = largest;
  }

  write({ states, framing = [], progress }: Saved): Buffer {
    const pieces: Uint8Array[] = [this.#begin];
    states.forEach((values, index) =>
      pieces.push(this.#stateHeads[index] as Buffer, bytesOf(values)),
    );
    this.#framing.forEach((format, index) => {
      const saved = framing[index];
      if (saved !== undefined) pieces.push(...format.write(saved));
    });
    if (progress !== undefined) pieces.push(encodeProgress(progress));
    const bytes = Buffer.concat(pieces);
    bytes[SECTIONS_AT] = this.#sections | (progress === undefined ? 0 : HAS_TURN);
    return bytes;
  }

  /** @throws CabstandError CHECKPOINT_INVALID for anything that is not a snapshot of this model. */
  read(bytes: Uint8Array): Loaded {
    if (bytes.length > this.largest)
      throw unfit('format', `${bytes.length} bytes, expected at most ${this.largest}`);
    const reader = new ByteReader(bytes);
    const sections = this.#readBegin(reader);
    const count = reader.u16();
    if (count !== this.#states.length)
      throw unfit('state', `${count} states, expected ${this.#states.length}`);
    const states = this.#states.map((expected) => readExactly(reader, expected));
    const framing = this.#framing.map((format) => format.read(reader));
    const progress =
      (sections & HAS_TURN) === 0 ? undefined : readProgress(reader, this.#framing.length);
    reader.end();
    return { states, framing, progress };
  }

  /** Which sections follow. */
  #readBegin(reader: ByteReader): number {
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
    if (sections > (HAS_FRAMING | HAS_TURN | SEVERAL_FRAMINGS))
      throw unfit('format', `sections ${sections}`);
    if ((sections & ~HAS_TURN) !== this.#sections)
      throw unfit('state', `carried samples do not fit a model ${manifest.name}`);
    return sections;
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
