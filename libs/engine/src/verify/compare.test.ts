import fc from 'fast-check';
import { float16Bits, stringTensor, tensorOf } from '@cabstand/tensor';
import type { NumericArray, Tensor } from '@cabstand/tensor';
import { compareTensors, within, worse } from './compare';

const LIMITS = { atol: 1e-3, rtol: 1e-2 };
const f32 = (...values: number[]): Tensor => tensorOf('y', Float32Array.from(values));
const f16 = (...values: number[]): Tensor =>
  tensorOf('y', Uint16Array.from(values, float16Bits), undefined, 'float16');
const i64 = (...values: bigint[]): Tensor => tensorOf('y', BigInt64Array.from(values));

test.each<[string, Tensor, Tensor, 'equal' | 'within' | 'beyond']>([
  ['numbers', f32(1, 2), f32(1, 2), 'equal'],
  ['numbers a little apart', f32(1, 2.01), f32(1, 2), 'within'],
  ['numbers far apart', f32(1, 2.1), f32(1, 2), 'beyond'],
  ['tiny numbers of other sign', f32(1e-4), f32(-1e-4), 'within'],
  ['zeros of other sign', f32(-0), f32(0), 'within'],
  ['NaN', f32(NaN), f32(NaN), 'equal'],
  ['NaN and a number', f32(NaN), f32(1), 'beyond'],
  ['a number and NaN', f32(1), f32(NaN), 'beyond'],
  ['infinities', f32(Infinity, -Infinity), f32(Infinity, -Infinity), 'equal'],
  ['infinities of other sign', f32(-Infinity), f32(Infinity), 'beyond'],
  ['a number and an infinity', f32(1), f32(Infinity), 'beyond'],
  ['float16', f16(4, 1e-4), f16(4.03, -1e-4), 'within'],
  ['float16 an eighth apart', f16(4), f16(4.5), 'beyond'],
  ['integers', i64(1000n), i64(1009n), 'within'],
  ['integers too far apart', i64(1000n), i64(1012n), 'beyond'],
  [
    'bools',
    tensorOf('y', Uint8Array.of(1), [1], 'bool'),
    tensorOf('y', Uint8Array.of(0), [1], 'bool'),
    'beyond',
  ],
  ['texts', stringTensor('y', ['a', 'ü']), stringTensor('y', ['a', 'ü']), 'equal'],
  ['other texts', stringTensor('y', ['a', 'ü']), stringTensor('y', ['a', 'u']), 'beyond'],
  ['dtypes', f32(1), tensorOf('y', Float64Array.of(1)), 'beyond'],
  ['shapes', tensorOf('y', Float32Array.of(1, 2), [1, 2]), f32(1, 2), 'beyond'],
  ['nothing', f32(), f32(), 'equal'],
])('%s', (_, got, expected, how) => {
  const difference = compareTensors(got, expected, LIMITS);
  expect(difference.equal).toBe(how === 'equal');
  expect(within(difference)).toBe(how !== 'beyond');
});

test('NaNs of other payloads are equal', () => {
  const other = tensorOf('y', new Float32Array(Uint32Array.of(0x7fc00001).buffer));
  expect(other.data).not.toEqual(f32(NaN).data);
  expect(compareTensors(other, f32(NaN), { atol: 0, rtol: 0 }).equal).toBe(true);
});

test('64-bit integers beyond 2^53 are compared exactly', () => {
  const large = 2n ** 62n;
  const exact = { atol: 0.5, rtol: 0 };
  expect(within(compareTensors(i64(large), i64(large + 1n), exact))).toBe(false);
  expect(within(compareTensors(i64(large), i64(large + 1n), { atol: 1, rtol: 0 }))).toBe(true);
});

test('the worst element is told with its place', () => {
  const got = tensorOf('y', Float32Array.of(1, 2, 3.5, 4.5), [2, 2]);
  const expected = tensorOf('y', Float32Array.of(1, 2, 3, 4), [2, 2]);
  expect(compareTensors(got, expected, LIMITS)).toMatchObject({
    ...{ place: '[1, 0]', got: '3.5', expected: '3' },
    error: 0.5 / 3,
  });
  expect(compareTensors(stringTensor('y', ['a']), stringTensor('y', ['b']), LIMITS)).toMatchObject({
    ...{ place: '[0]', got: '"a"', expected: '"b"' },
  });
});

test('what is within, element by element, is within as a whole', () => {
  const element = fc.float({ noDefaultInfinity: false });
  const pairs = fc.array(fc.tuple(element, element), { minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(
      pairs,
      fc.constantFrom(0, 1e-3, 1),
      fc.constantFrom(0, 1e-2, 2),
      (all, atol, rtol) => {
        const array = (side: 0 | 1): NumericArray => Float32Array.from(all, (pair) => pair[side]);
        const difference = compareTensors(tensorOf('y', array(0)), tensorOf('y', array(1)), {
          ...{ atol, rtol },
        });
        const each = all.every(
          ([a, b]) => Object.is(a, b) || a === b || Math.abs(a - b) <= atol + rtol * Math.abs(b),
        );
        // An infinity is never within reach of a number, whatever the tolerance makes of it.
        const reachable = all.every(
          ([a, b]) => a === b || Number.isFinite(a) === Number.isFinite(b),
        );
        expect(within(difference)).toBe(each && reachable);
        expect(difference.equal).toBe(all.every(([a, b]) => Object.is(a, b)));
      },
    ),
  );
});

test('the worse of two differences is equal only if both are', () => {
  const [same, near, far] = [f32(1), f32(1.001), f32(2)].map((got) =>
    compareTensors(got, f32(1), LIMITS),
  );
  for (const [a, b, ratio, equal] of [
    [same, near, near?.ratio, false],
    [near, same, near?.ratio, false],
    [near, far, far?.ratio, false],
    [same, same, 0, true],
  ] as const)
    expect(worse(a!, b!)).toMatchObject({ ratio, equal });
});
