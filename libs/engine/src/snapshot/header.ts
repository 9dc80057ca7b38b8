/**
 * What snapshots of all kinds begin with: whose they are, and how far their turn is. What follows belongs
 * to the kind. The layout is documented in docs/engine-protocol.md.
 */
import { createHash } from 'node:crypto';
import type { ByteReader } from './bytes';
import { unfit } from './bytes';

const MAGIC = 'CSNP';
const VERSION = 2;
/** Bytes of the hash that tells a turn's parameters. */
export const FINGERPRINT = 16;
const POSITION_BYTES = 3 * 4 + FINGERPRINT;
const ENDED_AT = 7;

/** How far a turn is. Counts are of the turn as a whole, not since a restore. */
export interface Position {
  readonly turn: number;
  readonly records: number;
  readonly steps: number;
  /** Tells the parameters of the turn, the seed among them. */
  readonly fingerprint: Buffer;
}

/** Tells one turn's parameters, with their defaults, from another's. */
export function fingerprintOf(parameters: object): Buffer {
  return createHash('sha256').update(JSON.stringify(parameters)).digest().subarray(0, FINGERPRINT);
}

/** The header of one model's snapshots. */
export class SnapshotHeader {
  /** Everything before the position, but for the byte that says whether there is one. */
  readonly #begin: Buffer;
  readonly #kind: number;
  readonly #digest: string;
  /** No header of the model is larger, in bytes. */
  readonly largest: number;

  /**
   * @param kind the kind's number in snapshots
   * @param digest `sha256:…` of the model
   */
  constructor(kind: number, digest: string) {
    const text = Buffer.from(digest);
    this.#kind = kind;
    this.#digest = digest;
    this.#begin = Buffer.alloc(10 + text.length);
    this.#begin.write(MAGIC, 'latin1');
    this.#begin.writeUInt16LE(VERSION, 4);
    this.#begin[6] = kind;
    this.#begin.writeUInt16LE(text.length, 8);
    text.copy(this.#begin, 10);
    this.largest = this.#begin.length + POSITION_BYTES;
  }

  /** @param within undefined where no turn runs */
  write(within: Position | undefined): Buffer {
    const size = within === undefined ? this.#begin.length : this.largest;
    const bytes = Buffer.allocUnsafe(size);
    this.#begin.copy(bytes);
    bytes[ENDED_AT] = within === undefined ? 1 : 0;
    if (within === undefined) return bytes;
    let at = this.#begin.length;
    for (const value of [within.turn, within.records, within.steps])
      at = bytes.writeUInt32LE(value, at);
    within.fingerprint.copy(bytes, at);
    return bytes;
  }

  /**
   * Reads up to the body. Undefined: no turn ran.
   *
   * @throws CabstandError CHECKPOINT_INVALID for anything that is not a snapshot of this model.
   */
  read(reader: ByteReader): Position | undefined {
    if (reader.take(4).toString('latin1') !== MAGIC) throw unfit('format', 'these bytes are none');
    const version = reader.u16();
    if (version !== VERSION) throw unfit('version', `version ${version}, expected ${VERSION}`);
    const kind = reader.u8();
    const ended = reader.u8();
    const digest = reader.text();
    if (digest !== this.#digest)
      throw unfit('model', `of model ${digest.slice(0, 80)}, expected ${this.#digest}`);
    if (kind !== this.#kind) throw unfit('model', `of kind ${kind}, expected ${this.#kind}`);
    if (ended > 1) throw unfit('format', `ended is ${ended}, expected 0 or 1`);
    if (ended === 1) return undefined;
    const [turn, records, steps] = [reader.u32(), reader.u32(), reader.u32()];
    return { turn, records, steps, fingerprint: Buffer.from(reader.take(FINGERPRINT)) };
  }
}
