import { CabstandError } from '@cabstand/core';
import type { Deaths } from './checkpoint-body';

/** Deaths of engines at one position that make a turn suspect. */
const TOO_MANY = 2;

/** Counts deaths of engines that may be the doing of one session's turn. */
export class EngineDeaths {
  #last: Deaths | undefined;

  /** `before`: those at other hosters. */
  constructor(before: Deaths | undefined) {
    this.#last = before;
  }

  /** Those at the position that no engine has survived yet. */
  get last(): Deaths | undefined {
    return this.#last;
  }

  /** An engine died that was computing this position. */
  count(position: number): Deaths {
    const { count } = this.#last?.position === position ? this.#last : { count: 0 };
    this.#last = { position, count: count + 1 };
    return this.#last;
  }

  /** Whether computing this position may be what kills engines. */
  suspects(position: number): boolean {
    return this.#last?.position === position && this.#last.count >= TOO_MANY;
  }

  /** A record of this position was computed. True where engines had died of it. */
  survived(position: number): boolean {
    if (this.#last === undefined || position < this.#last.position) return false;
    this.#last = undefined;
    return true;
  }
}

export function poisonedError(turn: number, position: number): CabstandError {
  return new CabstandError(
    'TURN_POISONED',
    `turn ${turn} killed two engines at position ${position}`,
    { metadata: { turn: String(turn), position: String(position) } },
  );
}
