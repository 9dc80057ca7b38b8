import { CabstandError } from '@cabstand/core';
import { DTYPES, stringTensor } from '@cabstand/tensor';
import type { DType } from '@cabstand/tensor';
import fc from 'fast-check';
import { DATATYPES, checkShape, dtypeOf, fromRaw, toRaw } from './datatypes';

const reasonOf = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    return CabstandError.from(error).reason;
  }
  return 'none';
};

test.each(Object.keys(DTYPES) as DType[])('%s has a datatype, found again by its name', (dtype) => {
  expect(dtypeOf('x', DATATYPES[dtype])).toBe(dtype);
});

test.each(['BF16', 'FLOAT', '', 'fp32', '__proto__'])('datatype %j is refused', (datatype) => {
  expect(reasonOf(() => dtypeOf('x', datatype))).toBe('INPUT_DTYPE');
});

test.each(Object.keys(DTYPES).filter((name) => name !== 'string') as DType[])(
  'raw %s is taken as it is where its bytes fit the shape',
  (dtype) => {
    const raw = Buffer.from(Array.from({ length: 6 * DTYPES[dtype].bytes }, (_, i) => i % 2));
    const tensor = fromRaw('x', dtype, [2, 3], raw);
    expect(tensor.data.buffer).toBe(raw.buffer);
    expect(toRaw(tensor)).toEqual(raw);
    expect(reasonOf(() => fromRaw('x', dtype, [2, 3], raw.subarray(1)))).toBe('INPUT_BYTES');
    expect(reasonOf(() => fromRaw('x', dtype, [7], raw))).toBe('INPUT_BYTES');
  },
);

test('strings come back as they went', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'grapheme' })), (strings) => {
      const raw = toRaw(stringTensor('x', strings));
      expect(fromRaw('x', 'string', [strings.length], raw).strings).toEqual(strings);
    }),
  );
});

test.each([
  ['no length', Buffer.from([1, 0, 0]), [1]],
  ['more than there is', Buffer.from([2, 0, 0, 0, 65]), [1]],
  ['a length of 4 GiB', Buffer.from([255, 255, 255, 255, 65]), [1]],
  ['too many', toRaw(stringTensor('x', ['a', 'b'])), [1]],
  ['too few', toRaw(stringTensor('x', ['a'])), [2]],
  ['far too few', Buffer.alloc(0), [2 ** 40]],
])('strings with %s are refused', (_what, raw, shape) => {
  expect(reasonOf(() => fromRaw('x', 'string', shape, raw))).toBe('INPUT_BYTES');
});

test('what is no UTF-8 is refused', () => {
  const raw = Buffer.from([2, 0, 0, 0, 0xc3, 0x28]);
  expect(reasonOf(() => fromRaw('x', 'string', [1], raw))).toBe('INPUT_TEXT');
});

test.each([
  [[-1], 'INPUT_SHAPE'],
  [[0.5], 'INPUT_SHAPE'],
  [[2 ** 30, 2 ** 30], 'INPUT_SHAPE'],
  [Array(9).fill(1) as number[], 'INPUT_RANK'],
  [[0, 5], 'none'],
  [[], 'none'],
])('shape %j: %s', (shape, reason) => {
  expect(reasonOf(() => checkShape('x', shape))).toBe(reason);
});
