import { validateLiveInput, validateTurnInput } from '@cabstand/model';
import type { Tensor } from '@cabstand/tensor';
import type { ServedModel } from '../engine/engine';
import { markChecked, wasChecked } from './check-ahead';
import type { PlannedTurn } from '../resume/plan';
import type { TurnContent } from '../types';

/**
 * Checks what a session is to compute on against its model. Checking looks at every value, so content
 * that came with the session's opening, and was checked then, is not checked again when its turn starts;
 * nor is what was checked ahead.
 */
export class InputCheck {
  readonly #signature: ServedModel['signature'];

  constructor({ signature }: Pick<ServedModel, 'signature'>) {
    this.#signature = signature;
  }

  /**
   * What a turn brings. Throws PARAMETER_INVALID, INPUT_*, LIMIT_EXCEEDED or INVALID_ARGUMENT, naming
   * field, value and what was expected.
   */
  turn(content: TurnContent): void {
    if (wasChecked(content, this.#signature)) return;
    validateTurnInput(this.#signature, content);
    markChecked(content, this.#signature);
  }

  /** One part of live input. Throws what `turn` throws. */
  part(tensors: readonly Tensor[]): void {
    if (!wasChecked(tensors, this.#signature)) validateLiveInput(this.#signature, tensors);
  }

  /** What a resume brings, turn by turn with its parts. Throws what `turn` throws. */
  replay(turns: readonly PlannedTurn[]): void {
    for (const { content, parts } of turns) {
      this.turn(content);
      for (const { tensors } of parts) this.part(tensors);
    }
  }
}
