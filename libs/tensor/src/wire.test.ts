import fc from 'fast-check';
import { CabstandError } from '@cabstand/core';
import { arrayOf, elementCount, stringTensor, tensorOf } from './tensor';
import { anyTensor } from './tensor.fixture';
import { fromWire, toWire } from './wire';

test('every tensor survives the wire unchanged, of every dtype and shape', () => {
  fc.assert(
    fc.property(anyTensor, (tensor) => {
      const back = fromWire(toWire(tensor));
      expect({ ...back, data: [...back.data] }).toEqual({ ...tensor, data: [...tensor.data] });
    }),
    { numRuns: 500 },
  );
});

test('a tensor without elements keeps its sizes, a scalar has none', () => {
  expect(fromWire(toWire(tensorOf('x', new Float32Array(0), [2, 0, 3])))).toMatchObject({
    shape: [2, 0, 3],
    data: Buffer.alloc(0),
  });
  expect(fromWire(toWire(tensorOf('x', Float32Array.of(7), [])))).toMatchObject({ shape: [] });
  expect(fromWire(toWire(stringTensor('x', [], [0, 4])))).toMatchObject({ shape: [0, 4] });
});

test('bytes of a Buffer, whose slice() shares memory, can be read at any offset', () => {
  const data = Buffer.concat([Buffer.alloc(1), Buffer.from(Float32Array.of(1, 2).buffer)]);
  const tensor = { name: 'x', dtype: 'float32', shape: [2], data: data.subarray(1) } as const;
  expect([...arrayOf(tensor)]).toEqual([1, 2]);
});

const numeric = anyTensor.filter(({ dtype }) => dtype !== 'string');

test('a typed array can be read from bytes at any offset', () => {
  fc.assert(
    fc.property(numeric, (tensor) => {
      const array = arrayOf(tensor);
      expect(array.length).toBe(elementCount(tensor.shape));
      const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
      expect([...bytes]).toEqual([...tensor.data]);
    }),
  );
});

test('strings survive the wire unchanged', () => {
  const tensor = stringTensor('words', ['a', '', 'ü']);
  expect(fromWire(toWire(tensor)).strings).toEqual(['a', '', 'ü']);
});

const good = toWire(tensorOf('x', new Float32Array(6), [2, 3]));

test.each([
  ['an unknown dtype', { ...good, dtype: 'DATA_TYPE_BFLOAT16' }, 'INPUT_DTYPE'],
  ['a dtype number that is not in the contract', { ...good, dtype: 99 }, 'INPUT_DTYPE'],
  ['nine dimensions', { ...good, shape: Array<number>(9).fill(1) }, 'INPUT_RANK'],
  ['bytes where there are no elements', { ...good, shape: [0, 3] }, 'INPUT_BYTES'],
  ['a negative dimension', { ...good, shape: [-2, -3] }, 'INPUT_SHAPE'],
  ['a fractional dimension', { ...good, shape: [1.5, 4] }, 'INPUT_SHAPE'],
  ['a product beyond whole numbers', { ...good, shape: [2 ** 40, 2 ** 40] }, 'INPUT_SHAPE'],
  ['too few bytes', { ...good, data: good.data.subarray(1) }, 'INPUT_BYTES'],
  ['too many bytes', { ...good, shape: [2, 2] }, 'INPUT_BYTES'],
  ['too few strings', { ...toWire(stringTensor('s', ['a'])), shape: [2] }, 'INPUT_BYTES'],
])('%s is refused, naming the tensor', (_, wire, reason) => {
  let error: unknown;
  try {
    fromWire(wire);
  } catch (caught) {
    error = caught;
  }
  expect(error).toBeInstanceOf(CabstandError);
  expect((error as CabstandError).reason).toBe(reason);
  expect((error as CabstandError).message).toMatch(/tensor "(x|s)"/);
});

test('a shape that does not fit its array is refused', () => {
  expect(() => tensorOf('x', new Float32Array(4), [-2, -2])).toThrow(/sizes of at least 0/);
  expect(() => stringTensor('x', ['a'], [2])).toThrow(/2 elements/);
  expect(() => tensorOf('x', new Float32Array(5), [2, 3])).toThrow(/6 elements/);
});
