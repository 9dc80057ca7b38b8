/** A sequence of a model with state. */
import type { Sequence } from '../runtime/sequence';
import type { Progress } from '../snapshot/progress';
import type { Occupant } from '../state/row-store';
import type { InputSource } from './input-source';
import type { RecurrentTurn } from './turn';

export interface RecurrentSequence extends Sequence, Occupant {
  turn: RecurrentTurn | undefined;
  resume: Progress | undefined;
  readonly source: InputSource;
}
