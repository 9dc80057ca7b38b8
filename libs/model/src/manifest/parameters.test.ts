import { elementsOf, resolveParameters } from './parameters';
import type { ParameterSpec } from './signature';

const spec = (dtype: ParameterSpec['dtype'], more: Partial<ParameterSpec> = {}): ParameterSpec => ({
  name: 'p',
  dtype,
  shape: [],
  default: 0,
  oneOf: undefined,
  minimum: undefined,
  maximum: undefined,
  description: '',
  ...more,
});
const resolve = (one: ParameterSpec, value: unknown) => resolveParameters([one], { p: value })['p'];

test.each<[ParameterSpec['dtype'], unknown, unknown]>([
  ['int64', '9007199254740993', '9007199254740993'],
  ['int64', '-9223372036854775808', '-9223372036854775808'],
  ['uint64', '18446744073709551615', '18446744073709551615'],
  // One value has one form: callers that mean the same share a group.
  ['int64', '00016000', 16000],
  ['int64', 16000, 16000],
  ['float32', 0.1, 0.1],
  ['float16', 65504, 65504],
  ['bool', 1, true],
])('%s %j goes on as %j, through JSON too', (dtype, value, resolved) => {
  expect(resolve(spec(dtype), value)).toBe(resolved);
  expect(JSON.parse(JSON.stringify(resolved))).toBe(resolved);
});

test.each<[ParameterSpec, unknown, RegExp]>([
  [spec('int64'), 9007199254740992, /as text/],
  [spec('int64'), '9223372036854775808', /from -9223372036854775808 to/],
  [spec('uint64'), '-1', /from 0 to/],
  [spec('int64'), '1.5', /a whole number/],
  [spec('int32'), '5', /a whole number/],
  [spec('float32'), '5', /a number that fits float32/],
  [spec('float32'), 'NaN', /a number that fits float32/],
  [spec('float16'), 65520, /a number that fits float16/],
  [spec('bool'), 2, /true or false/],
  [spec('int64', { maximum: 2 ** 53 }), '9007199254740993', /at most 9007199254740992/],
  [spec('int64', { oneOf: [2 ** 53] }), '9007199254740993', /one of 9007199254740992/],
  [spec('int64'), [1], /one value/],
  [spec('int64', { shape: [2] }), [1], /a list of 2/],
])('%j is not given as %j', (one, value, message) => {
  expect(() => resolve(one, value)).toThrow(message);
});

test('lists keep their elements, and one value fills a list', () => {
  const two = spec('uint64', { shape: [2] });
  const value = resolve(two, [1, '18446744073709551615']);
  expect(value).toEqual([1, '18446744073709551615']);
  expect([...elementsOf(value!, 'uint64', 2)!]).toEqual([1n, 2n ** 64n - 1n]);
  expect([...elementsOf('9007199254740993', 'int64', 2)!]).toEqual([
    9007199254740993n,
    9007199254740993n,
  ]);
  expect(resolve(spec('uint64', { shape: [0] }), [])).toEqual([]);
});

test('elements of float16 are the bits of the rounded value', () => {
  expect(elementsOf(0.5, 'float16', 2)).toEqual(Uint16Array.of(0x3800, 0x3800));
  expect(elementsOf([0.1, -2], 'float16', 2)).toEqual(Uint16Array.of(0x2e66, 0xc000));
  expect(elementsOf(true, 'bool', 1)).toEqual(Uint8Array.of(1));
  expect(elementsOf(0, 'string', 1)).toBeUndefined();
});
