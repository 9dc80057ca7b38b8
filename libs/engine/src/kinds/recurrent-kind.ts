/** What tells kinds of models with state apart, in a step that they otherwise run alike. */
import type { PreparedGraph } from '../graphs/buffers';
import type { StepWriter } from '../output/step-writer';
import type { InputSource } from '../turns/input-source';
import type { RecurrentSequence } from '../turns/recurrent-sequence';
import type { RecurrentTurn } from '../turns/turn';

export interface RecurrentKind {
  /** What drives the steps of a new sequence. */
  source(): InputSource;
  /**
   * Writes the record of a row whose per-step stage has run, and moves its turn on. True where the turn
   * is over. Where it throws, nothing was written and nothing moved.
   */
  finish(
    sequence: RecurrentSequence,
    turn: RecurrentTurn,
    row: number,
    prepared: readonly PreparedGraph[],
    out: StepWriter,
  ): boolean;
}
