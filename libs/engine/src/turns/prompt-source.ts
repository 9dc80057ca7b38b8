/** A prompt: its items are read first, then steps go on from the token before. */
import { CabstandError } from '@cabstand/core';
import { encodeText } from '@cabstand/model';
import { arrayOf } from '@cabstand/tensor';
import type { InputFrame, TurnFrame } from '../frames/types';
import type { BoundModel } from '../graphs/bound';
import { unfit } from '../snapshot/bytes';
import type { SavedFraming } from '../snapshot/framing';
import type { Progress } from '../snapshot/progress';
import type { InputSets } from './input-set';
import type { InputSource, SourceUse } from './input-source';
import type { RecurrentTurn } from './turn';

export class PromptSource implements InputSource {
  readonly cutters = [];
  readonly #model: BoundModel;
  readonly #sets: InputSets;

  constructor(model: BoundModel, sets: InputSets) {
    this.#model = model;
    this.#sets = sets;
  }

  begin(turn: RecurrentTurn, frame: TurnFrame, resume: Progress | undefined): void {
    const items = promptIds(this.#model, frame);
    if (resume !== undefined && resume.items !== items.length)
      throw unfit('turn', `of a prompt of ${resume.items} items, not ${items.length}`);
    turn.items = items;
    turn.set = this.#sets.make(frame.inputs, turn.parameters, -1);
  }

  add(_turn: RecurrentTurn, { turn }: InputFrame): void {
    throw new CabstandError('INVALID_ARGUMENT', `turn ${turn} takes no live input`);
  }

  ready(): boolean {
    return true;
  }

  advance(): void {
    // The same set serves all steps; the token that was chosen is the turn's.
  }

  taken(): number {
    return 0;
  }

  used(): SourceUse {
    return { partsTaken: 0, partUsed: 0, inputUsed: 0 };
  }

  endTurn(): void {
    // Nothing outlives a turn.
  }

  save(): SavedFraming[] {
    return [];
  }

  restore(): void {
    // Nothing outlives a turn.
  }
}

/**
 * Token ids of the prompt, as text or as they are.
 *
 * @throws CabstandError INPUT_TEXT for what the vocabulary lacks, LIMIT_EXCEEDED for a prompt too long.
 */
function promptIds(model: BoundModel, frame: TurnFrame): number[] {
  const { text, inputs, limits } = model.manifest;
  if (frame.prompt !== '' && text.input !== undefined)
    return bounded(encodeText(frame.prompt, text.input), limits.maxSequenceLength);
  const name = inputs.find(({ media }) => media?.kind === 'text')?.name;
  const tensor = frame.inputs.find((one) => one.name === name);
  if (tensor === undefined) return [];
  return bounded(Array.from(arrayOf(tensor), Number), limits.maxSequenceLength);
}

function bounded(ids: number[], most: number): number[] {
  if (ids.length > most)
    throw new CabstandError('LIMIT_EXCEEDED', `${ids.length} tokens, expected at most ${most}`);
  return ids;
}
