import fc from 'fast-check';
import { float16Bits, float16Numbers } from './float16';

const numberOf = (bits: number): number => float16Numbers(Uint16Array.of(bits))[0] ?? 0;

test.each([
  [0x0000, 0],
  [0x3c00, 1],
  [0xc000, -2],
  [0x3555, 0.333251953125],
  [0x7bff, 65504],
  [0x0001, 2 ** -24],
  [0x0400, 2 ** -14],
  [0x7c00, Infinity],
  [0xfc00, -Infinity],
])('bits %i are %d', (bits, number) => {
  expect(numberOf(bits)).toBe(number);
  expect(float16Bits(number)).toBe(bits);
});

test('minus zero keeps its sign, NaN stays NaN', () => {
  expect(numberOf(0x8000)).toBe(-0);
  expect(float16Bits(-0)).toBe(0x8000);
  expect(numberOf(0x7e01)).toBeNaN();
  expect(numberOf(float16Bits(NaN))).toBeNaN();
});

test('every number of float16 has its own bits', () => {
  const all = Uint16Array.from({ length: 2 ** 16 }, (_, bits) => bits);
  float16Numbers(all).forEach((number, bits) => {
    if (!Number.isNaN(number) && float16Bits(number) !== bits)
      throw new Error(`${number} is not ${bits}`);
  });
});

test('a number becomes the nearest float16, ties to even', () => {
  expect(numberOf(float16Bits(1 + 2 ** -11))).toBe(1);
  expect(numberOf(float16Bits(1 + 3 * 2 ** -11))).toBe(1 + 2 ** -9);
  // In two steps, by way of float32, this would be a tie and become 1.
  expect(numberOf(float16Bits(1 + 2 ** -11 + 2 ** -40))).toBe(1 + 2 ** -10);
  expect(float16Bits(65519.99)).toBe(0x7bff);
  expect(float16Bits(65520)).toBe(0x7c00);
  fc.assert(
    fc.property(fc.double({ min: -65504, max: 65504, noNaN: true }), (number) => {
      const bits = float16Bits(number);
      const error = Math.abs(numberOf(bits) - number);
      for (const near of [bits - 1, bits + 1])
        if (near >= 0 && near <= 0xffff && Number.isFinite(numberOf(near)))
          expect(error).toBeLessThanOrEqual(Math.abs(numberOf(near) - number));
    }),
  );
});
