/** Models that cannot be verified because ONNX Runtime ends the process over what they are tried with. */
import type { CabstandError } from '@cabstand/core';
import type { Manifest } from '@cabstand/model';
import type { KnownModel } from './frames/types';

/**
 * What to load a model with after its engine died while it was verified. Some operators end the process
 * where an input is odd, such as a frame step of 0, and nobody but the verification may ever send one: the
 * model is served alone, and says why. Undefined where that is no way out: something else ended the
 * process, or what it died of is golden data.
 *
 * @param error with the `signal` that ended the process in its metadata
 */
export function untried(
  { golden }: Pick<Manifest, 'golden'>,
  { metadata: { signal } }: CabstandError,
): KnownModel | undefined {
  if (signal === undefined || golden.file !== undefined) return undefined;
  const because = `ONNX Runtime ended its process (${signal}) over an input that was made up to try it; golden data would say which inputs are right`;
  return {
    ...{ batchClass: 'unbatched', maxBatch: 1, goldenError: 0, reference: 'none' },
    ...{ unbatchedBecause: because, notes: [] },
  };
}
