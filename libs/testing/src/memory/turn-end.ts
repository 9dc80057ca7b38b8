import type { CabstandError } from '@cabstand/core';
import type { StopReason, TurnEnd } from '@cabstand/engine';

export function turnEnd(
  reason: StopReason | 'completed',
  steps: number,
  error: CabstandError | undefined,
): TurnEnd {
  if (error === undefined) return { reason, steps };
  const { message, metadata } = error;
  return {
    reason: 'error',
    steps,
    error: { reason: error.reason, message, metadata: { ...metadata } },
  };
}
