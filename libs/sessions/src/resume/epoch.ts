import { CabstandError } from '@cabstand/core';
import type { Epoch } from '../types';

/** How a call's epoch stands to its session's. */
export type EpochRelation = 'same' | 'higher';

/**
 * The higher counter wins; with equal counters the one that came first. Throws EPOCH_FENCED for one
 * that has lost.
 */
export function compareEpoch(current: Epoch, given: Epoch): EpochRelation {
  if (given.counter > current.counter) return 'higher';
  if (sameEpoch(current, given)) return 'same';
  throw fenced(current, given.counter);
}

export function sameEpoch(a: Epoch, b: Epoch): boolean {
  return a.counter === b.counter && a.owner === b.owner;
}

export function fenced(current: Epoch, counter: number): CabstandError {
  return new CabstandError(
    'EPOCH_FENCED',
    `epoch ${counter} may not advance this session: another consumer has epoch ${current.counter}`,
    { metadata: { epoch: String(counter), current_epoch: String(current.counter) } },
  );
}
