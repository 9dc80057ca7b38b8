/**
 * Snapshots of language models: tokens, never caches. Whoever goes on computes the cache again. Behind the header:
 * `u32 tokens of the prompt | u32 tokens that were chosen | u32 each of these`; nothing between turns. A prompt that
 * was not read yet has 0, and a hash of zeros in the header.
 */
import type { LanguageModelProgram } from '@cabstand/model';
import { KINDS } from '@cabstand/model';
import { ByteReader, u32, unfit } from '../../snapshot/bytes';
import { FINGERPRINT, SnapshotHeader } from '../../snapshot/header';
import type { Position } from '../../snapshot/header';

/** How far a turn is, and what it chose. */
export interface SavedTokens extends Position {
  /** Tokens of the prompt; 0 where it was not read yet, and nothing was chosen. */
  readonly prompt: number;
  readonly chosen: readonly number[];
}

/** Of a turn whose prompt is not read yet. */
export function nothingRead(turn: number): SavedTokens {
  const fingerprint = Buffer.alloc(FINGERPRINT);
  return { turn, records: 0, steps: 0, fingerprint, prompt: 0, chosen: [] };
}

export class TokenSnapshots {
  readonly #header: SnapshotHeader;
  readonly #program: LanguageModelProgram;
  /** No snapshot of this model is larger, in bytes. */
  readonly largest: number;

  constructor(digest: string, program: LanguageModelProgram) {
    this.#header = new SnapshotHeader(KINDS['language-model'].snapshotId, digest);
    this.#program = program;
    this.largest = this.#header.largest + 8 + 4 * program.contextLength;
  }

  /** @param within undefined between turns: nothing of a turn is left then */
  write(within: SavedTokens | undefined): Buffer {
    const header = this.#header.write(within);
    if (within === undefined) return header;
    const { prompt, chosen } = within;
    const ids = Buffer.allocUnsafe(4 * chosen.length);
    chosen.forEach((id, index) => ids.writeUInt32LE(id, 4 * index));
    return Buffer.concat([header, u32(prompt), u32(chosen.length), ids]);
  }

  /** @throws CabstandError CHECKPOINT_INVALID for anything that is not a snapshot of this model. */
  read(bytes: Uint8Array): SavedTokens | undefined {
    const { contextLength, vocabularySize } = this.#program;
    if (bytes.length > this.largest)
      throw unfit('format', `${bytes.length} bytes, expected at most ${this.largest}`);
    const reader = new ByteReader(bytes);
    const position = this.#header.read(reader);
    if (position === undefined) {
      reader.end();
      return undefined;
    }
    const prompt = reader.u32();
    const count = reader.u32();
    if (prompt + count > contextLength || (prompt === 0 && count > 0))
      throw unfit('turn', `${prompt} and ${count} tokens, expected at most ${contextLength}`);
    const chosen = Array.from({ length: count }, () => reader.u32());
    reader.end();
    const { records, steps } = position;
    if (records !== count || steps !== count)
      throw unfit('turn', `${count} tokens after ${records} records and ${steps} steps`);
    if (chosen.some((id) => id >= vocabularySize)) throw unfit('turn', 'it holds what is no token');
    return { ...position, prompt, chosen };
  }
}
