import { createHash } from 'node:crypto';
import { CabstandError } from '@cabstand/core';
import type { ModelSignature } from '@cabstand/model';
import type { RebuildPlan } from '../resume/plan';

/** Throws SESSION_LOST where the session of a module cannot go on from what its consumer brings. */
export function checkSurvival(
  { sessions }: Pick<ModelSignature, 'sessions'>,
  { state, next }: Pick<RebuildPlan, 'state' | 'next'>,
): void {
  if (sessions?.survival === 'none' && next > 0)
    throw lost('no_survival', 'the module declares `survival: none`, and its engine is gone');
  if (sessions?.survival === 'commit' && state.position !== next)
    throw lost('uncommitted', 'the consumer has records that no checkpoint of it holds');
}

export function lost(problem: string, why: string): CabstandError {
  return new CabstandError('SESSION_LOST', why, { metadata: { problem } });
}

/** What the random numbers of a session follow from: the same at every hoster. */
export function seedOf(principal: string, session: string): number {
  return createHash('sha256').update(`${session} ${principal}`).digest().readUInt32LE(0);
}
