/** IEEE 754 binary16, which Node 20 has no array for: bits in a Uint16Array ↔ numbers. */
import { Float16Array, setFloat16 } from '@petamoriken/float16';

const PATTERNS = 2 ** 16;
const scratch = new DataView(new ArrayBuffer(2));
let table: Float32Array | undefined;

/**
 * The numbers that bits stand for, exactly: float32 holds every float16.
 *
 * @param numbers where they are put, of the same length. Default: a new array.
 */
export function float16Numbers(
  bits: Uint16Array,
  numbers = new Float32Array(bits.length),
): Float32Array {
  // All 65,536 patterns, made at first use: a look-up costs a fraction of a conversion.
  table ??= Float32Array.from(
    new Float16Array(Uint16Array.from({ length: PATTERNS }, (_, pattern) => pattern).buffer),
  );
  for (let index = 0; index < bits.length; index += 1)
    numbers[index] = table[bits[index] as number] as number;
  return numbers;
}

/** Bits of the float16 nearest to a number, ties to even; an infinity for one from 65,520 on. */
export function float16Bits(value: number): number {
  setFloat16(scratch, 0, value);
  return scratch.getUint16(0);
}
