import { tensorFrom, tensorOf } from '@cabstand/tensor';
import type { DType, ElementValue } from '@cabstand/tensor';
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
