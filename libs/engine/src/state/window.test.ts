import fc from 'fast-check';
import { Tensor } from 'onnxruntime-node';
import { BatchTensor } from '../graphs/batch-tensor';
import { appendToWindow } from './window';

/** Elements of `array` by block, item and place within the item. */
const items = (array: Float32Array, dims: readonly number[], axis: number): Float32Array[][] => {
  const product = (sizes: readonly number[]): number => sizes.reduce((all, size) => all * size, 1);
  const inner = product(dims.slice(axis + 1));
  const size = dims[axis] ?? 0;
  return Array.from({ length: product(dims.slice(0, axis)) }, (_, block) =>
    Array.from({ length: size }, (__, item) => {
      const start = (block * size + item) * inner;
      return array.slice(start, start + inner);
    }),
  );
};

const filled = (dims: readonly number[], first: number): Tensor => {
  const count = dims.reduce((all, size) => all * size, 1);
  const data = Float32Array.from({ length: count }, (_, index) => first + index);
  return new Tensor('float32', data, dims);
};

test('the newest items stay, whatever the axes and however many are written', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 2, maxLength: 4 }),
      fc.nat({ max: 3 }),
      fc.nat({ max: 3 }),
      fc.integer({ min: 1, max: 3 }),
      fc.array(fc.nat({ max: 9 }), { maxLength: 4 }),
      (sizes, batch, windowAt, rows, writes) => {
        const batchAxis = batch % sizes.length;
        const axis = (batchAxis + 1 + (windowAt % (sizes.length - 1))) % sizes.length;
        const shape = sizes.with(batchAxis, 1);
        const make = (): BatchTensor => new BatchTensor('float32', shape, batchAxis, rows);
        let [from, to] = [make(), make()];
        const { dims } = from.tensor;
        let expected = items(from.array as Float32Array, dims, axis);
        writes.forEach((count, number) => {
          const written = filled(dims.with(axis, count), 1 + number * 10_000);
          appendToWindow(from, to, axis, written);
          const fresh = items(written.data as Float32Array, written.dims, axis);
          expected = expected.map((block, index) =>
            [...block, ...(fresh[index] ?? [])].slice(-(dims[axis] ?? 0)),
          );
          expect(items(to.array as Float32Array, dims, axis)).toEqual(expected);
          [from, to] = [to, from];
        });
      },
    ),
  );
});

test.each([
  ['another row', [3, 2, 4]],
  ['another width', [2, 2, 5]],
  ['another rank', [2, 4]],
])('items of %s are refused', (_, dims) => {
  const make = (): BatchTensor => new BatchTensor('float32', [1, 3, 4], 0, 2);
  expect(() => appendToWindow(make(), make(), 1, filled(dims, 0))).toThrow(
    'window of shape [2, 3, 4]',
  );
});
