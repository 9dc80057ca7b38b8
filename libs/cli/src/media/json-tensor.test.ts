import fc from 'fast-check';
import {
  DTYPES,
  arrayOf,
  elementCount,
  numbersOf,
  stringTensor,
  tensorFrom,
} from '@cabstand/tensor';
import type { DType, Tensor } from '@cabstand/tensor';
import { tensorJson } from '../render/json';
import { parseJsonTensor } from './json-tensor';

const parse = (json: string, expected?: DType): Tensor =>
  parseJsonTensor('x', json, 'x.json', expected);

const anyTensor: fc.Arbitrary<Tensor> = fc
  .record({
    dtype: fc.constantFrom(...(Object.keys(DTYPES) as DType[])),
    shape: fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 4 }),
  })
  .chain(({ dtype, shape }): fc.Arbitrary<Tensor> => {
    const count = elementCount(shape);
    const length = { minLength: count, maxLength: count };
    if (dtype === 'string')
      return fc.array(fc.string(), length).map((strings) => stringTensor('x', strings, shape));
    const bytes = count * DTYPES[dtype].bytes;
    return fc
      .uint8Array({ minLength: bytes, maxLength: bytes, ...(dtype === 'bool' ? { max: 1 } : {}) })
      .map((data) => ({ name: 'x', dtype, shape, data }));
  });

/** JSON has one zero and one NaN: numbers are compared, not bits. */
const plain = (tensor: Tensor) => ({
  dtype: tensor.dtype,
  shape: tensor.shape,
  values: tensor.strings ?? Array.from<number | bigint, string>(numbersOf(tensor), String),
});

test('what --json prints is read again, of every dtype and shape', () => {
  fc.assert(
    fc.property(anyTensor, (tensor) => {
      const json = JSON.stringify(tensorJson(tensor, false));
      const back = parse(json);
      expect(plain(back)).toEqual(plain(tensor));
      expect(JSON.stringify(tensorJson(back, false))).toBe(json);
    }),
    { numRuns: 500 },
  );
});

test('one value is a scalar, empty lists have sizes of 0', () => {
  expect(plain(parse('7', 'int64'))).toEqual({ dtype: 'int64', shape: [], values: ['7'] });
  expect(parse('"a"', 'string')).toMatchObject({ shape: [], strings: ['a'] });
  expect(parse('true', 'bool')).toMatchObject({ shape: [], data: Uint8Array.of(1) });
  expect(parse('[]')).toMatchObject({ shape: [0] });
  expect(parse('[[], []]')).toMatchObject({ shape: [2, 0] });
  expect(parse('{"shape": [0, 3], "data": []}', 'string')).toMatchObject({
    shape: [0, 3],
    strings: [],
  });
});

test('the model gives the type: float16, bool, strings, large integers', () => {
  expect([...arrayOf(parse('[0.5, -2]', 'float16'))]).toEqual([0x3800, 0xc000]);
  expect([...arrayOf(parse('[[true], [false]]', 'bool'))]).toEqual([1, 0]);
  expect(parse('[["a"], ["ü"]]', 'string')).toMatchObject({ shape: [2, 1], strings: ['a', 'ü'] });
  expect([...arrayOf(parse('["9007199254740993", 1]', 'int64'))]).toEqual([9007199254740993n, 1n]);
  expect([...arrayOf(parse('["NaN", "-Infinity"]'))]).toEqual([NaN, -Infinity]);
  expect(tensorJson(tensorFrom('x', 'bool', [true, false]), false)['data']).toEqual([true, false]);
});

test.each<[string, DType | undefined, RegExp]>([
  ['{', undefined, /is not JSON/],
  ['[[1, 2], [3]]', undefined, /different lengths/],
  ['[[1, 2], 3]', undefined, /different lengths/],
  // As many elements as a rectangle of 3 × 2 has.
  ['[[1], [2, 3, 4], [5, 6]]', undefined, /different lengths/],
  ['[[], [1]]', undefined, /different lengths/],
  ['[null]', undefined, /nested lists of elements/],
  ['{"dtype": "float99", "data": [1]}', undefined, /float99.*not known/],
  ['{"shape": [-1], "data": []}', undefined, /sizes of at least 0/],
  ['{"shape": [1,1,1,1,1,1,1,1,1], "data": [1]}', undefined, /up to 8 sizes/],
  ['{"shape": [2], "data": [1]}', undefined, /1 elements do not fill shape \[2\]/],
  ['[[[[[[[[[1]]]]]]]]]', undefined, /deeper than 8/],
  ['[0, 256]', 'uint8', /element 1 is 256; uint8 takes a whole number from 0 to 255/],
  ['[1.5]', 'int32', /element 0 is 1.5; int32 takes/],
  ['["one"]', undefined, /element 0 is "one"; float32 takes/],
  ['[1e6]', 'float16', /float16 takes a number that fits float16/],
  ['[9007199254740993]', 'int64', /as text \("…"\) beyond 9007199254740991/],
  ['[1]', 'string', /element 0 is 1; string takes text/],
  ['["true"]', 'bool', /bool takes true or false/],
])('%s as %s is refused', (json, expected, message) => {
  expect(() => parse(json, expected)).toThrow(message);
});
