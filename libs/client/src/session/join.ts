import { invalid } from '@cabstand/core';
import type { Found } from './find';
import type { HandleContent } from './handle';

/** What is known of a session that this process takes over by its name, as if another one had exported it. */
export function handleOf({ node, status }: Found, sessionId: string): HandleContent {
  const { turn, turnRuns, position, acknowledgedPosition, epoch, model } = status;
  const first = acknowledgedPosition + 1;
  const pending = turn >= 0 && (turnRuns || first < position);
  const next = pending ? turn : turn + 1;
  return {
    ...{ sessionId, model, digest: '', priority: 0, epoch, node },
    position: first,
    turn: next,
    checkpoint: undefined,
    // What it was given before, nobody told this process: until a checkpoint comes there is nothing to go on with.
    past: next === 0 ? [] : [{ turn: next - 1, position: first - 1, input: undefined }],
    running: pending ? { start: first, input: undefined, chunks: 0 } : undefined,
  };
}

/** Throws INVALID_ARGUMENT. */
export function checkFrom(from: unknown): 'oldest' | 'now' | number {
  if (from === undefined || from === 'oldest') return 'oldest';
  if (from === 'now') return 'now';
  if (Number.isSafeInteger(from) && Number(from) >= 0) return Number(from);
  throw invalid('INVALID_ARGUMENT', 'from', from, 'oldest, now or a position');
}
