/** Elements of example inputs, by style. */
import { arrayFrom, elementCount, stringTensor, tensorOf } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';
import type { InputSpec } from '../manifest/signature';
import { noise } from './noise';
import { isFloat, rangeOf } from './range';
import type { Range } from './range';

/** From the most plausible on; most models take the first. */
export const STYLES = ['noise', 'zeros', 'ones', 'digits', 'fractions'] as const;
export type Style = (typeof STYLES)[number];

const WORDS = ['hello', 'world', 'yes', 'no', 'red', 'blue', 'one', 'two'];
/** Bytes of the longest text that a style makes. */
export const LONGEST_TEXT = 8;

/** A tensor whose elements are within the input's range. Undefined where no number is. */
export function exampleTensor(
  input: InputSpec,
  shape: readonly number[],
  style: Style,
  seed: number,
): Tensor | undefined {
  const { name, dtype } = input;
  const count = elementCount(shape);
  if (dtype === 'string') {
    const texts = Array.from({ length: count }, (_, index) => textOf(style, noise(seed, index)));
    return stringTensor(name, texts, shape);
  }
  const range = rangeOf(input);
  if (range.low > range.high) return undefined;
  const valueOf = isFloat(dtype) ? floatOf : wholeOf;
  const array = arrayFrom(dtype, count, (index) => {
    const value = valueOf(style, noise(seed, index), input, range);
    return Math.min(range.high, Math.max(range.low, value));
  });
  return tensorOf(name, array, shape, dtype);
}

function floatOf(style: Style, place: number, input: InputSpec, range: Range): number {
  if (style !== 'noise') return common(style, place) ?? place;
  const { minimum, maximum } = input;
  // One side alone says where the values begin or end, not how far they go.
  const low = minimum === undefined ? (maximum === undefined ? -1 : maximum - 2) : range.low;
  const high = maximum === undefined ? (minimum === undefined ? 1 : minimum + 2) : range.high;
  // Not low + place * (high - low): the difference may overflow.
  return low * (1 - place) + high * place;
}

/** Integers are mostly flags, classes or ids: small ones are valid nearly everywhere. */
function wholeOf(style: Style, place: number, input: InputSpec, { low, high }: Range): number {
  if (style === 'noise' && input.minimum !== undefined && input.maximum !== undefined)
    return low + Math.floor(place * (high - low + 1));
  const within = Math.max(low, Math.min(0, high));
  if (style === 'noise') return within + Math.floor(place * 2);
  return within + (common(style, place) ?? Math.floor(place * 4));
}

function common(style: Style, place: number): number | undefined {
  if (style === 'zeros') return 0;
  if (style === 'ones') return 1;
  return style === 'digits' ? Math.floor(place * 10) : undefined;
}

function textOf(style: Style, place: number): string {
  switch (style) {
    case 'noise':
      return place < 0.5 ? 'a' : 'b';
    case 'zeros':
      return 'a';
    case 'ones':
      return 'b';
    case 'digits':
      return String(Math.floor(place * 10));
    case 'fractions':
      return WORDS[Math.floor(place * WORDS.length)] ?? 'a';
  }
}
