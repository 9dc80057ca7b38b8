import fc from 'fast-check';
import { DTYPES } from './dtype';
import type { DType } from './dtype';
import { expectedElement, jsonElements, readElement } from './json';
import { arrayFrom, fillValue, numbersOf, tensorFrom } from './numbers';
import { arrayOf, tensorOf } from './tensor';
import { anyTensor } from './tensor.fixture';

test('every element survives JSON', () => {
  const numeric = anyTensor.filter(({ dtype }) => dtype !== 'string');
  fc.assert(
    fc.property(numeric, (tensor) => {
      const { name, dtype, shape } = tensor;
      const json = JSON.parse(JSON.stringify(jsonElements(tensor))) as unknown[];
      const values = json.map((value) => readElement(dtype, value) ?? 'refused');
      const back = tensorFrom(name, dtype, values, shape);
      // JSON has one zero and one NaN: numbers are compared, not bits.
      const plain = (of: typeof tensor) =>
        Array.from(numbersOf(of) as Iterable<number | bigint>, String);
      expect(plain(back)).toEqual(plain(tensor));
    }),
    { numRuns: 500 },
  );
});

test('text stands where a JSON number would lose something', () => {
  const json = (array: Parameters<typeof tensorOf>[1], dtype?: DType) =>
    jsonElements(tensorOf('x', array, undefined, dtype));
  expect(json(BigInt64Array.of(-1n, 2n ** 53n - 1n, 2n ** 53n, -(2n ** 63n)))).toEqual([
    -1,
    2 ** 53 - 1,
    '9007199254740992',
    '-9223372036854775808',
  ]);
  expect(json(Float32Array.of(0.5, NaN, -Infinity))).toEqual([0.5, 'NaN', '-Infinity']);
  expect(json(Uint16Array.of(0x3800, 0x7c00), 'float16')).toEqual([0.5, 'Infinity']);
  expect(json(Uint8Array.of(0, 1), 'bool')).toEqual([false, true]);
});

test.each<[DType, unknown, number | bigint]>([
  ['int64', '9007199254740993', 9007199254740993n],
  ['int64', '-9223372036854775808', -(2n ** 63n)],
  ['uint64', '18446744073709551615', 2n ** 64n - 1n],
  ['uint64', 7, 7],
  ['int8', -128, -128],
  ['int32', '12', 12n],
  ['float32', 'NaN', NaN],
  ['float64', '-Infinity', -Infinity],
  ['float16', 65504, 65504],
  ['bool', true, 1],
  ['bool', 0, 0],
])('%s takes %j', (dtype, value, element) => {
  expect(readElement(dtype, value)).toBe(element);
});

test.each<[DType, unknown]>([
  ['int64', 9007199254740992],
  ['int64', '9223372036854775808'],
  ['int64', '1e3'],
  ['int64', ''],
  ['int64', '9'.repeat(21)],
  ['uint64', '-1'],
  ['uint64', '18446744073709551616'],
  ['int8', 128],
  ['uint8', -1],
  ['int32', 1.5],
  ['int32', true],
  ['float32', 1e39],
  ['float16', 65520],
  ['float64', ''],
  ['float64', 'one'],
  ['float64', null],
  ['bool', 2],
  ['bool', 'true'],
  ['string', 'a'],
])('%s refuses %j', (dtype, value) => {
  expect(readElement(dtype, value)).toBeUndefined();
});

test('what is expected says how to write large integers', () => {
  expect(expectedElement('uint64')).toBe(
    'a whole number from 0 to 18446744073709551615, as text ("…") beyond 9007199254740991',
  );
  expect(expectedElement('int8')).toBe('a whole number from -128 to 127');
});

test('an array of any dtype is filled by value', () => {
  expect([...arrayFrom('float16', 2, () => 0.5)]).toEqual([0x3800, 0x3800]);
  expect([...arrayFrom('int64', 2, (index) => index)]).toEqual([0n, 1n]);
  expect([...arrayFrom('uint64', 1, () => '18446744073709551615')]).toEqual([2n ** 64n - 1n]);
  expect([...arrayFrom('bool', 1, () => true)]).toEqual([1]);
  expect(fillValue('float16', -1)).toBe(0xbc00);
  expect(fillValue('int64', 2.9)).toBe(2n);
  expect(fillValue('float32', 0.5)).toBe(0.5);
  expect(() => arrayFrom('string', 1, () => 0)).toThrow(/no array/);
});

test('numbers of float16 are not its bits', () => {
  const tensor = tensorFrom('x', 'float16', [0.5, -2]);
  expect([...numbersOf(tensor)]).toEqual([0.5, -2]);
  expect([...arrayOf(tensor)]).toEqual([0x3800, 0xc000]);
  for (const dtype of Object.keys(DTYPES) as DType[])
    if (dtype !== 'string')
      expect([...numbersOf(tensorFrom('x', dtype, [1, 0]))].map(Number)).toEqual([1, 0]);
});
