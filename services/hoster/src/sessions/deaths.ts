import { CabstandError } from '@cabstand/core';
import type { Deaths } from './state-at';

/** Deaths of engines at one position that make a turn suspect. */
const TOO_MANY = 2;

/** Counts the death of an engine that was computing this position. */
export function deathAt(before: Deaths | undefined, position: number): Deaths {
  return { position, count: before?.position === position ? before.count + 1 : 1 };
}

export function isPoisoned(deaths: Deaths | undefined, position: number): boolean {
  return deaths !== undefined && deaths.position === position && deaths.count >= TOO_MANY;
}

export function poisonedError(turn: number, position: number): CabstandError {
  return new CabstandError(
    'TURN_POISONED',
    `turn ${turn} killed two engines at position ${position}`,
    { metadata: { turn: String(turn), position: String(position) } },
  );
}
