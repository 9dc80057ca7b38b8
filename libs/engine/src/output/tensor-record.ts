/** Output tensors as a run gave them. */
import type { DType } from '@cabstand/tensor';
import { bytesOf } from '../graphs/batch-tensor';
import { isStrings } from '../graphs/rows';
import type { Values } from '../graphs/rows';
import { stringTensorBytes, tensorPrefix } from './step-writer';
import type { StepWriter } from './step-writer';

const NOTHING = new Uint8Array(0);

/** Writes one output of a chunk. */
export function writeTensor(
  out: StepWriter,
  name: string,
  dtype: DType,
  dims: readonly number[],
  values: Values,
): void {
  if (isStrings(values)) {
    out.tensor(stringTensorBytes(name, dims, values), NOTHING, 0, 0);
    return;
  }
  const bytes = bytesOf(values);
  out.tensor(tensorPrefix(name, dtype, dims, bytes.length), bytes, 0, bytes.length);
}
