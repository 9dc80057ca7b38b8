import type { Tensor } from '@cabstand/tensor';

/** One record's output as the renderers take it. */
export interface OutputChunk {
  /** Number of the chunk in its turn. */
  readonly index: number;
  /** Number of the record in its session. */
  readonly position: number;
  readonly turn: number;
  readonly text: string;
  readonly outputs: readonly Tensor[];
}

/** How a turn ended. */
export interface OutputEnd {
  /** `completed`, `stopped`, `cancelled` … */
  readonly reason: string;
  /** Model steps computed. */
  readonly steps: number;
}

/** Turns the records of one turn into text, bit by bit. */
export interface OutputRenderer {
  /** What to print for this record; may be empty. */
  chunk(chunk: OutputChunk): string;
  /** What is left to print; `end` is undefined where the turn was broken off. */
  finish(end: OutputEnd | undefined): string;
}
