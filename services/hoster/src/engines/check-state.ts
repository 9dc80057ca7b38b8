import { CabstandError } from '@cabstand/core';
import { checkSnapshotFits } from '@cabstand/engine';
import type { LoadedFrame } from '@cabstand/engine';
import type { ResolvedEngineOptions } from './options';

/**
 * Throws MODEL_FAILED where a session of a model that was loaded has too much state. The project's own
 * engine has refused what no checkpoint can hold before it verified anything; others may not.
 */
export function checkState(
  {
    stateBytesPerSequence: bytes,
    snapshotBytes = bytes,
  }: Pick<LoadedFrame, 'stateBytesPerSequence' | 'snapshotBytes'>,
  {
    maxStateBytes,
    maxMessageBytes,
  }: Pick<ResolvedEngineOptions, 'maxStateBytes' | 'maxMessageBytes'>,
): void {
  if (bytes > maxStateBytes)
    throw new CabstandError(
      'MODEL_FAILED',
      `one session's state is ${bytes} bytes, limits.max_state_bytes allows ${maxStateBytes}`,
    );
  checkSnapshotFits(bytes, snapshotBytes, maxMessageBytes);
}
