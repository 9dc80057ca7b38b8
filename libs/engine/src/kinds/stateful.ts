/** Models with state: each step gives the graphs' outputs as a record. */
import type { BoundModel } from '../graphs/bound';
import type { PreparedGraph } from '../graphs/buffers';
import { emitChunk } from '../output/record';
import type { StepWriter } from '../output/step-writer';
import { FrameSource } from '../turns/frame-source';
import type { InputSets } from '../turns/input-set';
import type { InputSource } from '../turns/input-source';
import { SetSource } from '../turns/set-source';
import type { RecurrentSequence } from '../turns/recurrent-sequence';
import type { RecurrentTurn } from '../turns/turn';
import type { RecurrentKind } from './recurrent-kind';

export class StatefulKind implements RecurrentKind {
  readonly #model: BoundModel;
  readonly #sets: InputSets;

  constructor(model: BoundModel, sets: InputSets) {
    this.#model = model;
    this.#sets = sets;
  }

  source(): InputSource {
    return this.#model.manifest.framed.length > 0
      ? new FrameSource(this.#model, this.#sets)
      : new SetSource(this.#sets);
  }

  finish(
    sequence: RecurrentSequence,
    turn: RecurrentTurn,
    row: number,
    prepared: readonly PreparedGraph[],
    out: StepWriter,
  ): boolean {
    emitChunk(sequence, turn, row, prepared, out);
    sequence.source.advance(turn);
    return false;
  }
}
