import { Tensor } from 'onnxruntime-node';
import { float16Bits } from '@cabstand/tensor';
import type { DType } from '@cabstand/tensor';
import type { BoundOutput } from '../graphs/bound';
import { chooseToken } from './sampling';
import { ScoreRows } from './scores';

const output = (dtype: DType, batchAxis: number | null): BoundOutput => ({
  name: 'logits',
  dtype,
  dims: [],
  batchAxis,
  sinks: [{ to: 'logits' }],
});

const greedy = { temperature: 0, topK: 0, topP: 1, seed: 0 };

const chosen = (rows: ScoreRows, count: number): number[] =>
  Array.from({ length: count }, (_, row) => {
    const { scores, offset, count: many } = rows.of(row);
    return chooseToken(scores, offset, many, greedy, 0);
  });

// Two rows, two positions, three tokens: of the last positions row 0 wants token 2, row 1 token 0.
const scores = [
  [
    [9, 1, 1],
    [-3, -2, -1],
  ],
  [
    [1, 9, 1],
    [0.5, 0.25, -1],
  ],
];
const byPosition = [0, 1].map((position) => scores.map((row) => row[position] ?? []));

test.each<[DType, (numbers: readonly number[]) => Float32Array | Float64Array | Uint16Array]>([
  ['float32', (numbers) => Float32Array.from(numbers)],
  ['float64', (numbers) => Float64Array.from(numbers)],
  // As bits, negative numbers would be the largest ones.
  ['float16', (numbers) => Uint16Array.from(numbers, float16Bits)],
])('%s scores of the last position are compared as numbers', (dtype, from) => {
  const tensor = (numbers: readonly number[], dims: readonly number[]): Tensor =>
    new Tensor(dtype, from(numbers) as Float32Array, dims);
  const front = new ScoreRows(output(dtype, 0));
  front.take(tensor(scores.flat(2), [2, 2, 3]), 2);
  expect(chosen(front, 2)).toEqual([2, 0]);
  const inside = new ScoreRows(output(dtype, 1));
  inside.take(tensor(byPosition.flat(2), [2, 2, 3]), 2);
  expect(chosen(inside, 2)).toEqual([2, 0]);
  const alone = new ScoreRows(output(dtype, null));
  alone.take(tensor((scores[1] ?? []).flat(), [2, 3]), 1);
  expect(chosen(alone, 1)).toEqual([0]);
});

test('scores that are not there for every row are refused', () => {
  const rows = new ScoreRows(output('float32', 0));
  const take = (dims: readonly number[], count: number): void =>
    rows.take(
      new Tensor('float32', new Float32Array(dims.reduce((all, one) => all * one, 1)), dims),
      count,
    );
  expect(() => take([1, 3], 2)).toThrow('expected 2 rows at axis 0');
  expect(() => take([1, 0], 1)).toThrow('scores in its last dimension');
  expect(() => take([], 1)).toThrow('scores in its last dimension');
});
