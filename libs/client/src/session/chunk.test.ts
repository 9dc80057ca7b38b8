import { stringTensor, tensorOf } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';
import { Chunk } from './chunk';

const chunk = (...tensors: Tensor[]): Chunk =>
  new Chunk(
    { type: 'record', body: 'chunk', position: 4, turn: 1, epoch: 1, text: '', tensors },
    2,
  );

const loud = tensorOf('loudness', Float32Array.of(0.5, 0.25));
const count = tensorOf('count', Int32Array.of(7));
const name = stringTensor('name', ['a']);

test('gives its outputs by name', () => {
  const one = chunk(loud, count);
  expect(one.tensor('count')).toBe(count);
  expect([...one.float32('loudness')]).toEqual([0.5, 0.25]);
  expect([one.has('count'), one.has('level')]).toEqual([true, false]);
});

test.each([
  ['tensor', [loud, count], 'loudness, count'],
  ['float32', [loud, count], 'loudness, count'],
  ['tensor', [], 'text only: there are no tensors'],
] as const)('%s of an output that there is not names those of %j', (method, tensors, expected) => {
  expect(() => chunk(...tensors)[method]('level')).toThrow(
    expect.objectContaining({
      reason: 'INVALID_ARGUMENT',
      metadata: { field: 'output', value: '"level"', expected },
    }) as Error,
  );
});

test.each([count, name])('float32 of $name names its dtype', (tensor) => {
  expect(() => chunk(tensor).float32(tensor.name)).toThrow(
    expect.objectContaining({
      reason: 'INVALID_ARGUMENT',
      metadata: expect.objectContaining({
        field: `output ${tensor.name}`,
        value: `"${tensor.dtype}"`,
      }) as unknown,
    }) as Error,
  );
});
