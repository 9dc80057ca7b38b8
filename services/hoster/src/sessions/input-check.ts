import { validateLiveInput, validateTurnInput } from '@cabstand/model';
import type { Tensor } from '@cabstand/tensor';
import type { ServedModel } from '../engines/contract';
import { wasChecked } from './check-ahead';
import type { PlannedTurn } from './resume';
import type { TurnContent } from './types';

/**
 * Checks what a session is to compute on against its model. Checking looks at every value, so content
 * that came with the session's opening, and was checked then, is not checked again when its turn starts;
 * nor is what was checked ahead.
 */
export class InputCheck {
  readonly #signature: ServedModel['signature'];
  readonly #checked = new WeakSet<TurnContent>();

  constructor({ signature }: Pick<ServedModel, 'signature'>) {
    this.#signature = signature;
  }

  /**
   * What a turn brings. Throws PARAMETER_INVALID, INPUT_*, LIMIT_EXCEEDED or INVALID_ARGUMENT, naming
   * field, value and what was expected.
   */
  turn(content: TurnContent): void {
    if (this.#checked.has(content)) return;
    if (!wasChecked(content, this.#signature)) validateTurnInput(this.#signature, content);
    this.#checked.add(content);
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
