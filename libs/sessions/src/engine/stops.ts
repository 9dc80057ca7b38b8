import type { StopReason } from '@cabstand/engine';
import type { EngineSlot } from './slot';
import type { Turns } from '../turns';

export interface StopsInit {
  readonly turns: Turns;
  readonly slot: EngineSlot;
  /** Undefined for models of other kinds. */
  readonly module: object | undefined;
  /** Whether the engine's next record is a new one. */
  readonly caughtUp: () => boolean;
}

/**
 * Ends the turn that runs before its own end: once, for the first reason, and not before an engine that makes
 * records again has caught up, as its turn would end before records that were delivered.
 */
export class Stops {
  readonly #init: StopsInit;
  #asked: { readonly turn: number; readonly reason: StopReason; told: boolean } | undefined;

  constructor(init: StopsInit) {
    this.#init = init;
  }

  /** Why the turn that runs is to end; undefined where it is not. */
  get reason(): StopReason | undefined {
    return this.#asked?.reason;
  }

  /** The turn that runs is to end. */
  ask(reason: StopReason): void {
    const { running } = this.#init.turns;
    if (running === undefined) return;
    this.#asked ??= { turn: running.turn, reason, told: false };
    this.tell();
  }

  /** To be called when the engine's next record is a new one. */
  tell(): void {
    const asked = this.#asked;
    const { module, slot, caughtUp } = this.#init;
    const { sequence } = slot;
    if (asked === undefined || sequence === undefined || asked.told || !caughtUp()) return;
    asked.told = true;
    if (module !== undefined) sequence.stop(asked.turn, asked.reason);
    else sequence.cancel(asked.turn);
  }

  /** The next engine has not been told. */
  again(): void {
    if (this.#asked === undefined) return;
    this.#asked.told = false;
    this.tell();
  }

  /** The turn has ended, or another one begins. */
  forget(): void {
    this.#asked = undefined;
  }
}
