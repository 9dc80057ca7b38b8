/** Looks at the values of large inputs part by part, so that whoever does it can pause in between. */
import { DTYPES } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';
import { scanStrings, scanValues } from './scan';
import type { ModelSignature } from './signature';

const PART_BYTES = 256 * 1024;

/**
 * Finds in tensors that were checked otherwise what `validateTurnInput` and `validateLiveInput` find in
 * values. Yields the bytes of each part that it has looked at.
 *
 * @throws CabstandError INPUT_NOT_FINITE, INPUT_OUT_OF_RANGE or INPUT_TEXT naming the element.
 */
export function* scanInParts(
  { inputs }: ModelSignature,
  tensors: readonly Tensor[],
): Generator<number, void> {
  for (const tensor of tensors) {
    const input = inputs.find(({ name }) => name === tensor.name);
    if (input === undefined) continue;
    const field = `tensor ${input.name}`;
    if (tensor.strings !== undefined) {
      scanStrings(tensor.strings, field);
      yield tensor.strings.length;
      continue;
    }
    const { data, dtype } = tensor;
    const { bytes } = DTYPES[dtype];
    for (let at = 0; at < data.byteLength; at += PART_BYTES) {
      const part = data.subarray(at, at + PART_BYTES);
      scanValues(input, { ...tensor, data: part }, field, at / bytes);
      yield part.byteLength;
    }
  }
}
