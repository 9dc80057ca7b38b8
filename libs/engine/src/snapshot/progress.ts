/** How far a turn of a model with state is, beside its position. */
import type { ByteReader } from './bytes';
import type { Position } from './header';

const FIXED_BYTES = 8 * 4;
const USE_BYTES = 8;

/** How much of one stream of input a turn has used. */
export interface InputUse {
  /** Items used of live part number `partsTaken`. */
  readonly partUsed: number;
  /** Used of the input that came with the turn: items along the framed axis; without framing 1 or 0. */
  readonly inputUsed: number;
}

/** How far a turn is. Counts are of the turn as a whole, not since a restore. */
export interface Progress extends Position, InputUse {
  /** Live parts below this number are used up. */
  readonly partsTaken: number;
  readonly stage: number;
  /** Generators: items of the prompt, how many of them were read, the last token, tokens so far. */
  readonly items: number;
  readonly item: number;
  readonly token: number;
  readonly tokens: number;
  /** Use of the second framed input and those after it. */
  readonly others?: readonly InputUse[];
}

/** @param framed framed inputs of the model */
export function progressBytes(framed: number): number {
  return FIXED_BYTES + USE_BYTES * Math.max(0, framed - 1);
}

export function encodeProgress(progress: Progress): Buffer {
  const { partsTaken, partUsed, inputUsed, others = [] } = progress;
  const { stage, items, item, token, tokens } = progress;
  const bytes = Buffer.allocUnsafe(progressBytes(1 + others.length));
  let at = 0;
  for (const value of [partsTaken, partUsed, inputUsed, stage, items, item, token, tokens])
    at = bytes.writeUInt32LE(value, at);
  for (const use of others) {
    at = bytes.writeUInt32LE(use.partUsed, at);
    at = bytes.writeUInt32LE(use.inputUsed, at);
  }
  return bytes;
}

/** @param position what the header said */
export function readProgress(reader: ByteReader, framed: number, position: Position): Progress {
  const progress = {
    ...position,
    partsTaken: reader.u32(),
    partUsed: reader.u32(),
    inputUsed: reader.u32(),
    stage: reader.u32(),
    items: reader.u32(),
    item: reader.u32(),
    token: reader.u32(),
    tokens: reader.u32(),
  };
  if (framed < 2) return progress;
  const others = Array.from({ length: framed - 1 }, (): InputUse => ({
    partUsed: reader.u32(),
    inputUsed: reader.u32(),
  }));
  return { ...progress, others };
}
