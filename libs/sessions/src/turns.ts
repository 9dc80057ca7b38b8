import { CabstandError, invalid } from '@cabstand/core';
import type { LiveInput } from './input/live-input';
import type { CheckpointBody } from './resume/checkpoint-body';
import type { TurnOutcome } from './types';

export type TurnState =
  | { readonly kind: 'none' }
  /** Restored within a turn, whose input is still to come. */
  | {
      readonly kind: 'awaited';
      readonly turn: number;
      readonly digest: string;
      readonly firstPosition: number;
    }
  | {
      readonly kind: 'running';
      readonly turn: number;
      /** Undefined where a turn cannot be sent again (anonymous sessions). */
      readonly digest: string | undefined;
      readonly firstPosition: number;
      readonly live: LiveInput | undefined;
    }
  | {
      readonly kind: 'over';
      readonly turn: number;
      readonly digest: string | undefined;
      readonly firstPosition: number;
    };

export type RunningTurn = Extract<TurnState, { kind: 'running' }>;

/** Which turn of a session runs, and whether one that arrives is new, sent again, or wrong. */
export class Turns {
  #state: TurnState;

  /** `from`: where a session that is rebuilt begins. */
  constructor(from?: CheckpointBody) {
    if (from === undefined || from.turn < 0) this.#state = { kind: 'none' };
    else {
      const { turn, digest, firstPosition } = from;
      this.#state = { kind: from.ended ? 'over' : 'awaited', turn, digest, firstPosition };
    }
  }

  get state(): TurnState {
    return this.#state;
  }

  get running(): RunningTurn | undefined {
    return this.#state.kind === 'running' ? this.#state : undefined;
  }

  /** The turn that runs or ran last; -1 before the first. */
  get current(): number {
    return this.#state.kind === 'none' ? -1 : this.#state.turn;
  }

  /** Where a turn began that was sent before; undefined for any other turn. */
  firstPositionOf(turn: number): number | undefined {
    const state = this.#state;
    return state.kind !== 'none' && state.turn === turn ? state.firstPosition : undefined;
  }

  /**
   * What to do with a turn that arrives: `started` means it is new.
   * Throws TURN_CONFLICT, TURN_OUT_OF_ORDER or SESSION_BUSY.
   */
  judge(turn: number, digest: string | undefined): TurnOutcome {
    if (!Number.isSafeInteger(turn) || turn < 0)
      throw invalid('TURN_OUT_OF_ORDER', 'turn', turn, 'a whole number of at least 0');
    const state = this.#state;
    if (state.kind !== 'none' && turn === state.turn) {
      if (digest === undefined || digest !== state.digest)
        throw new CabstandError(
          'TURN_CONFLICT',
          `turn ${turn} was sent before with other content`,
          { metadata: { turn: String(turn) } },
        );
      return state.kind === 'awaited' ? 'started' : state.kind;
    }
    const expected = this.current + 1;
    if (turn !== expected) throw invalid('TURN_OUT_OF_ORDER', 'turn', turn, String(expected));
    if (state.kind === 'running' || state.kind === 'awaited')
      throw new CabstandError('SESSION_BUSY', `turn ${state.turn} still runs`, {
        metadata: { turn: String(state.turn) },
      });
    return 'started';
  }

  /** Throws TURN_OUT_OF_ORDER for a turn that has not begun. */
  checkBegun(turn: number, field: string): void {
    if (Number.isSafeInteger(turn) && turn >= 0 && turn <= this.current) return;
    throw new CabstandError('TURN_OUT_OF_ORDER', `${field}: turn ${turn} has not begun`, {
      metadata: { field, value: String(turn) },
    });
  }

  /**
   * The live input of a turn; undefined if the turn is over. Throws TURN_OUT_OF_ORDER for one that has
   * not begun, INVALID_ARGUMENT for one that takes no live input.
   */
  liveInput(turn: number): LiveInput | undefined {
    this.checkBegun(turn, 'input.turn');
    const { running } = this;
    if (running?.turn !== turn) return undefined;
    if (running.live === undefined)
      throw new CabstandError('INVALID_ARGUMENT', `turn ${turn} takes no live input`, {
        metadata: { field: 'input.turn', value: String(turn) },
      });
    return running.live;
  }

  start(
    turn: number,
    digest: string | undefined,
    firstPosition: number,
    live: LiveInput | undefined,
  ): void {
    this.#state = { kind: 'running', turn, digest, firstPosition, live };
  }

  /** The turn's end of turn was recorded. */
  finish(): void {
    if (this.#state.kind !== 'running') return;
    const { turn, digest, firstPosition } = this.#state;
    this.#state = { kind: 'over', turn, digest, firstPosition };
  }
}
