/** Generators: each step gives scores, of which the next token is chosen. */
import { CabstandError } from '@cabstand/core';
import { decodeToken } from '@cabstand/model';
import type { BoundModel } from '../graphs/bound';
import type { PreparedGraph } from '../graphs/buffers';
import { emitToken } from '../output/record';
import { chooseToken } from '../output/sampling';
import type { ScoreRange } from '../output/scores';
import type { StepWriter } from '../output/step-writer';
import type { InputSets } from '../turns/input-set';
import type { InputSource } from '../turns/input-source';
import { PromptSource } from '../turns/prompt-source';
import type { RecurrentSequence } from '../turns/recurrent-sequence';
import type { RecurrentTurn } from '../turns/turn';
import type { RecurrentKind } from './recurrent-kind';

export class GeneratorKind implements RecurrentKind {
  readonly #model: BoundModel;
  readonly #sets: InputSets;

  constructor(model: BoundModel, sets: InputSets) {
    this.#model = model;
    this.#sets = sets;
  }

  source(): InputSource {
    return new PromptSource(this.#model, this.#sets);
  }

  finish(
    sequence: RecurrentSequence,
    turn: RecurrentTurn,
    row: number,
    prepared: readonly PreparedGraph[],
    out: StepWriter,
  ): boolean {
    const { generation, text } = this.#model.manifest;
    const { scores, offset, count } = scoresOf(prepared, row);
    const chosen = chooseToken(scores, offset, count, turn.sampling, turn.tokens);
    turn.token = chosen;
    if (generation?.stop.includes(chosen) === true && !turn.ignoreStop) return true;
    emitToken(sequence, turn, chosen, decodeToken(chosen, turn.tokens === 0, text.output), out);
    turn.tokens += 1;
    return turn.tokens >= turn.maxTokens;
  }
}

function scoresOf(prepared: readonly PreparedGraph[], row: number): ScoreRange {
  for (const { logits } of prepared) if (logits !== undefined) return logits.of(row);
  throw new CabstandError('INTERNAL', 'a step of a generator without scores');
}
