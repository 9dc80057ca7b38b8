/** Sets of whole tensors: each is the input of one step. */
import { CabstandError } from '@cabstand/core';
import type { InputFrame, TurnFrame } from '../frames/types';
import { unfit } from '../snapshot/bytes';
import type { SavedFraming } from '../snapshot/framing';
import type { Progress } from '../snapshot/progress';
import type { InputSet, InputSets } from './input-set';
import type { InputSource, SourceUse } from './input-source';
import type { RecurrentTurn } from './turn';

/** Live parts that may wait in a sequence. */
const MOST_SETS = 1024;

export class SetSource implements InputSource {
  readonly cutters = [];
  readonly #sets: InputSets;
  /** Behind the one that the turn has. */
  #waiting: InputSet[] = [];
  #partsUsed = 0;
  /** The input that came with the turn is used up. */
  #inputUsed = false;

  constructor(sets: InputSets) {
    this.#sets = sets;
  }

  begin(turn: RecurrentTurn, { inputs, live }: TurnFrame, resume: Progress | undefined): void {
    const used = (resume?.inputUsed ?? 0) > 0;
    const brings = !live || inputs.length > 0;
    if (used && !brings) throw unfit('turn', 'the turn began with input that is missing now');
    turn.set = brings && !used ? this.#sets.make(inputs, turn.parameters, -1) : undefined;
    this.#waiting = [];
    this.#inputUsed = used;
    this.#partsUsed = resume?.partsTaken ?? 0;
  }

  add(turn: RecurrentTurn, { inputs, part }: InputFrame): void {
    // The last part may bring nothing but its being the last.
    if (inputs.length === 0) return;
    const set = this.#sets.make(inputs, turn.parameters, part);
    if (turn.set === undefined) turn.set = set;
    else this.#waiting.push(set);
    if (this.#waiting.length >= MOST_SETS)
      throw new CabstandError('LIMIT_EXCEEDED', 'live input came faster than it was taken');
  }

  ready({ set }: RecurrentTurn): boolean {
    return set !== undefined;
  }

  advance(turn: RecurrentTurn): void {
    const part = turn.set?.part ?? -1;
    if (part < 0) this.#inputUsed = true;
    else this.#partsUsed = part + 1;
    turn.set = this.#waiting.shift();
    turn.stage = 0;
  }

  taken(): number {
    return this.#partsUsed;
  }

  used(): SourceUse {
    return { partsTaken: this.#partsUsed, partUsed: 0, inputUsed: this.#inputUsed ? 1 : 0 };
  }

  endTurn(): void {
    this.#waiting = [];
  }

  save(): SavedFraming[] {
    return [];
  }

  restore(): void {
    // Sets do not outlive their turn.
  }
}
