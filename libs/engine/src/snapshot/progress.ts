/** How far a turn is, as a snapshot within it says. */
import type { ByteReader } from './bytes';

/** Bytes of the hash that tells a turn's parameters. */
export const FINGERPRINT = 16;
const FIXED_BYTES = 11 * 4 + FINGERPRINT;
const USE_BYTES = 8;

/** How much of one stream of input a turn has used. */
export interface InputUse {
  /** Items used of live part number `partsTaken`. */
  readonly partUsed: number;
  /** Used of the input that came with the turn: items along the framed axis; without framing 1 or 0. */
  readonly inputUsed: number;
}

/** How far a turn is. Counts are of the turn as a whole, not since a restore. */
export interface Progress extends InputUse {
  readonly turn: number;
  /** Chunks. */
  readonly records: number;
  readonly steps: number;
  /** Live parts below this number are used up. */
  readonly partsTaken: number;
  readonly stage: number;
  /** Generators: items of the prompt, how many of them were read, the last token, tokens so far. */
  readonly items: number;
  readonly item: number;
  readonly token: number;
  readonly tokens: number;
  /** Tells the parameters of the turn, the seed among them. */
  readonly fingerprint: Buffer;
  /** Use of the second framed input and those after it. */
  readonly others?: readonly InputUse[];
}

/** @param framed framed inputs of the model */
export function progressBytes(framed: number): number {
  return FIXED_BYTES + USE_BYTES * Math.max(0, framed - 1);
}

export function encodeProgress(progress: Progress): Buffer {
  const { turn, records, steps, partsTaken, partUsed, inputUsed } = progress;
  const { stage, items, item, token, tokens, fingerprint, others = [] } = progress;
  const bytes = Buffer.allocUnsafe(progressBytes(1 + others.length));
  let at = 0;
  for (const value of [turn, records, steps, partsTaken, partUsed, inputUsed])
    at = bytes.writeUInt32LE(value, at);
  for (const value of [stage, items, item, token, tokens]) at = bytes.writeUInt32LE(value, at);
  at += fingerprint.copy(bytes, at);
  for (const use of others) {
    at = bytes.writeUInt32LE(use.partUsed, at);
    at = bytes.writeUInt32LE(use.inputUsed, at);
  }
  return bytes;
}

export function readProgress(reader: ByteReader, framed: number): Progress {
  const [turn, records, steps] = [reader.u32(), reader.u32(), reader.u32()];
  const [partsTaken, partUsed, inputUsed] = [reader.u32(), reader.u32(), reader.u32()];
  const [stage, items, item] = [reader.u32(), reader.u32(), reader.u32()];
  const [token, tokens, fingerprint] = [reader.u32(), reader.u32(), reader.take(FINGERPRINT)];
  const progress = {
    ...{ turn, records, steps, partsTaken, partUsed, inputUsed },
    ...{ stage, items, item, token, tokens, fingerprint: Buffer.from(fingerprint) },
  };
  if (framed < 2) return progress;
  const others = Array.from({ length: framed - 1 }, (): InputUse => ({
    partUsed: reader.u32(),
    inputUsed: reader.u32(),
  }));
  return { ...progress, others };
}
