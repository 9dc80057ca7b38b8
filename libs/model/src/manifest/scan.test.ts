import { DTYPES, tensorFrom, tensorOf } from '@cabstand/tensor';
import type { DType, ElementValue, Tensor } from '@cabstand/tensor';
import { scanStrings, scanValues } from './scan';
import type { InputSpec } from './signature';

const spec = (dtype: DType, more: Partial<InputSpec> = {}): InputSpec => ({
  name: 'x',
  dtype,
  alsoDtypes: [],
  shape: ['n'],
  minimum: undefined,
  maximum: undefined,
  allowNan: false,
  description: '',
  media: undefined,
  ...more,
});
const range = { minimum: -1, maximum: 1 };
const scan = (input: InputSpec, ...values: ElementValue[]) => {
  scanValues(input, tensorFrom('x', input.dtype, values), 'tensor x');
};

test.each<DType>(['float16', 'float32', 'float64'])('%s is held to its range', (dtype) => {
  scan(spec(dtype, range), -1, 0.5, 1);
  expect(() => scan(spec(dtype, range), 0, 1.5)).toThrow(/element 1.*1.5.*at least -1, at most 1/);
  expect(() => scan(spec(dtype, range), -2)).toThrow(/element 0/);
  expect(() => scan(spec(dtype, { minimum: 3 }), 2)).toThrow(/at least 3/);
});

test.each<DType>(['float16', 'float32', 'float64'])('%s is finite unless it need not', (dtype) => {
  scan(spec(dtype), 0, -1);
  expect(() => scan(spec(dtype), 0, NaN)).toThrow(/element 1.*NaN.*finite/);
  expect(() => scan(spec(dtype), -Infinity)).toThrow(/element 0.*-Infinity.*finite/);
  scan(spec(dtype, { allowNan: true }), NaN, Infinity);
  scan(spec(dtype, { ...range, allowNan: true }), NaN, 1);
  expect(() => scan(spec(dtype, { ...range, allowNan: true }), 2)).toThrow(/at most 1/);
});

test('64-bit integers are compared exactly', () => {
  const top = spec('uint64', { maximum: 2 ** 53 });
  scan(top, 2n ** 53n);
  expect(() => scan(top, 2n ** 53n + 1n)).toThrow(/9007199254740993/);
});

test('int16 samples stand for themselves divided by 32768', () => {
  const input = spec('float32', { minimum: -0.5, maximum: 0.5 });
  const samples = (...values: number[]) => tensorOf('x', Int16Array.from(values));
  scanValues(input, samples(-16384, 16384), 'tensor x');
  expect(() => {
    scanValues(input, samples(0, 16385), 'tensor x');
  }).toThrow(/element 1/);
});

describe.each<DType>(['float16', 'float32', 'float64', 'int16', 'int32', 'int64', 'uint8', 'bool'])(
  'values of %s',
  (dtype) => {
    const { bytes } = DTYPES[dtype];
    // More than is looked at in one go, and not a whole number of times.
    const COUNT = 40_000;
    const ones = tensorFrom('x', dtype, Array<number>(COUNT).fill(1));
    const place = (offset: number, data: Uint8Array): Tensor => {
      const memory = new Uint8Array(offset + data.byteLength).fill(0xff);
      memory.set(data, offset);
      return { ...ones, data: memory.subarray(offset) };
    };
    const input = spec(dtype, { minimum: 0, maximum: 1 });

    test.each([0, 1, 3, 4, 7])('are looked at wherever they lie: %i', (offset) => {
      scanValues(input, place(offset, ones.data), 'tensor x');
      for (const index of [0, 2_047, 8_192, 16_384, COUNT - 1]) {
        const data = Uint8Array.from(ones.data);
        const wrong = tensorFrom('x', dtype, [2]).data;
        data.set(wrong, index * bytes);
        const first = 1_000;
        expect(() => {
          scanValues(input, place(offset, data), 'tensor x', first);
        }).toThrow(`element ${first + index}: got 2`);
      }
    });

    test('are not changed by it, and those of a message before are not seen', () => {
      const data = tensorFrom('x', dtype, Array<number>(5_000).fill(2)).data;
      expect(() => {
        scanValues(input, place(1, data), 'tensor x');
      }).toThrow('element 0');
      const few = place(1, ones.data.slice(0, 3 * bytes));
      scanValues(input, few, 'tensor x');
      expect(Buffer.from(few.data).equals(Buffer.from(ones.data.slice(0, 3 * bytes)))).toBe(true);
    });
  },
);

test('a bool is 0 or 1', () => {
  scan(spec('bool'), true, false);
  expect(() => scan(spec('bool'), 2)).toThrow(/element 0/);
});

test('text that would be cut at a NUL is refused, naming the element', () => {
  scanStrings(['', 'ü', '\u{1F695}'], 'tensor x');
  expect(() => scanStrings(['a', 'b\0c'], 'tensor x')).toThrow(
    'tensor x element 1: got "b\\u0000c", expected text without NUL',
  );
});
