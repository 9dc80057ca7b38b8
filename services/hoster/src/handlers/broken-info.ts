import type { CabstandError } from '@cabstand/core';
import type { v1 } from '@cabstand/rpc';
import { wholeText } from '../engines/told';
import type { BrokenModel } from '../models/model-host';

/** A folder without a usable manifest is listed too: whoever asks sees what is wrong. */
export function brokenInfo(broken: BrokenModel, whole: boolean): v1.ModelInfo {
  return {
    offer: { name: broken.name },
    state: 'MODEL_STATE_FAILED',
    failure: failureText(broken.error, whole),
  };
}

/** @param whole with all that is known of a failure, for administrators; else as callers may read it. */
export function failureText(error: CabstandError, whole: boolean): string {
  return whole ? wholeText(error) : error.message;
}
