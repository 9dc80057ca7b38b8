/** Adversarial company for a golden sequence: zeros, the largest values that are allowed, noise. */
import type { InputSpec } from '@cabstand/model';
import { arrayOf } from '@cabstand/tensor';
import type { NumericArray, Tensor } from '@cabstand/tensor';
import { allocate } from '../graphs/batch-tensor';
import { uniform } from '../output/sampling';

export const NEIGHBOURS = ['zeros', 'large', 'noise'] as const;
export type Neighbour = (typeof NEIGHBOURS)[number];

/** Where an input has no range. */
const LARGE = 1e4;

/** A tensor like `golden`, but with a neighbour's values. */
export function neighbourTensor(
  golden: Tensor,
  spec: InputSpec | undefined,
  kind: Neighbour,
  seed: number,
): Tensor {
  if (golden.dtype === 'string') return golden;
  const values = arrayOf(golden);
  const floating = golden.dtype === 'float32' || golden.dtype === 'float64';
  const made = floating
    ? floats(values.length, golden, spec, kind, seed)
    : // Whole numbers are often indices: only values that golden data has are safe.
      chosen(golden, values, kind, seed);
  return {
    name: golden.name,
    dtype: golden.dtype,
    shape: golden.shape,
    data: new Uint8Array(made.buffer, made.byteOffset, made.byteLength),
  };
}

/** Token ids like those of a prompt. */
export function neighbourIds(ids: readonly number[], kind: Neighbour, seed: number): number[] {
  if (kind === 'zeros') return ids.map(() => Math.min(...ids));
  if (kind === 'large') return ids.map(() => Math.max(...ids));
  return ids.map((_, index) => ids[Math.floor(uniform(seed, index) * ids.length)] ?? 0);
}

function floats(
  count: number,
  golden: Tensor,
  spec: InputSpec | undefined,
  kind: Neighbour,
  seed: number,
): NumericArray {
  const low = spec?.minimum ?? -LARGE;
  const high = spec?.maximum ?? LARGE;
  const made = allocate(golden.dtype, count) as Float32Array;
  const zero = Math.min(Math.max(0, low), high);
  const noise = spec?.minimum === undefined && spec?.maximum === undefined ? 1 / LARGE : 1;
  for (let index = 0; index < count; index += 1) {
    if (kind === 'zeros') made[index] = zero;
    else if (kind === 'large') made[index] = index % 2 === 0 ? high : low;
    else made[index] = (low + (high - low) * uniform(seed, index)) * noise;
  }
  return made;
}

function chosen(golden: Tensor, values: NumericArray, kind: Neighbour, seed: number): NumericArray {
  const made = allocate(golden.dtype, values.length) as Float32Array;
  const source = values as Float32Array;
  let least = source[0] as number;
  let most = source[0] as number;
  for (const value of source) {
    if (value < least) least = value;
    if (value > most) most = value;
  }
  for (let index = 0; index < made.length; index += 1) {
    const noise = source[Math.floor(uniform(seed, index) * source.length)] as number;
    made[index] = kind === 'zeros' ? least : kind === 'large' ? most : noise;
  }
  return made;
}
