import { CabstandError } from '@cabstand/core';

/** ONNX Runtime's words for values that a graph cannot take: the caller's, not the node's. */
const CALLERS =
  /invalid.?argument|out of (?:data )?(?:bounds|range)|invalid (?:rank|dimension|index)|shape/i;

/** What a failed run means for the turn that it was run for alone. */
export function runError(error: unknown): CabstandError {
  if (CabstandError.is(error)) return error;
  const { message } = CabstandError.from(error);
  return CALLERS.test(message)
    ? new CabstandError('INVALID_ARGUMENT', `the model refused the input: ${message}`, {
        cause: error,
      })
    : new CabstandError('INTERNAL', `the model run failed: ${message}`, { cause: error });
}
