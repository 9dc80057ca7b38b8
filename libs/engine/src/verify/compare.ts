import { arrayOf } from '@cabstand/tensor';
import type { NumericArray, Tensor } from '@cabstand/tensor';

/** How far apart two results are: 0 where they are equal bit by bit, Infinity where they cannot be compared. */
export interface Difference {
  /** Largest |a - b| / max(1, |b|). */
  readonly error: number;
  readonly equal: boolean;
  /** Where the largest difference is. */
  readonly got: string;
  readonly expected: string;
}

export const EQUAL: Difference = { error: 0, equal: true, got: '', expected: '' };

export function compareArrays(got: NumericArray, expected: NumericArray): Difference {
  if (sameBytes(got, expected)) return EQUAL;
  if (got.length !== expected.length || got.constructor !== expected.constructor)
    return {
      error: Infinity,
      equal: false,
      got: `${got.length} elements`,
      expected: `${expected.length}`,
    };
  let worst: Difference = { ...EQUAL, equal: false };
  for (let index = 0; index < got.length; index += 1) {
    const a = Number(got[index]);
    const b = Number(expected[index]);
    if (Object.is(a, b)) continue;
    const difference = Math.abs(a - b) / Math.max(1, Math.abs(b));
    const error = Number.isNaN(difference) ? Infinity : difference;
    if (error > worst.error) worst = { error, equal: false, got: `${a}`, expected: `${b}` };
  }
  return worst;
}

export function compareTensors(got: Tensor, expected: Tensor): Difference {
  const shapes = got.shape.join(',') === expected.shape.join(',');
  if (got.dtype !== expected.dtype || !shapes)
    return {
      error: Infinity,
      equal: false,
      got: `${got.dtype} [${got.shape.join(', ')}]`,
      expected: `${expected.dtype} [${expected.shape.join(', ')}]`,
    };
  return compareArrays(arrayOf(got), arrayOf(expected));
}

function sameBytes(a: NumericArray, b: NumericArray): boolean {
  return (
    Buffer.compare(
      Buffer.from(a.buffer, a.byteOffset, a.byteLength),
      Buffer.from(b.buffer, b.byteOffset, b.byteLength),
    ) === 0
  );
}
