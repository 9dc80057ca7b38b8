import type { Tensor } from '@cabstand/tensor';

export interface GoldenRecord {
  readonly outputs: readonly Tensor[];
  readonly text: string;
}

export interface GoldenTurn {
  readonly prompt: string;
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly inputs: readonly Tensor[];
  readonly records: readonly GoldenRecord[];
}

/** Turns of one session, in order. */
export interface GoldenSequence {
  readonly turns: readonly GoldenTurn[];
}
