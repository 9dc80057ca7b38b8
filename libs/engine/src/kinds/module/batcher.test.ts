import { Tensor } from 'onnxruntime-node';
import fc from 'fast-check';
import { Batcher } from './batcher';
import type { Runnable } from './batcher';

type Tensors = Readonly<Record<string, Tensor>>;
const float = (values: number[], dims: number[]): Tensor =>
  new Tensor('float32', Float32Array.from(values), dims);

/** y = x + rate in each row, rows in axis 1 of [2, rows, 2]; `sum` belongs to all rows. */
class Graph implements Runnable {
  readonly rows: number[] = [];

  run({ x, rate }: Tensors): Promise<Record<string, Tensor>> {
    const data = x?.data as Float32Array;
    const dims = x?.dims ?? [];
    this.rows.push(dims[1] ?? 0);
    if (data.includes(-1)) return Promise.reject(new Error('minus one'));
    const added = Number((rate?.data as Float32Array)[0]);
    const y = new Tensor(
      'float32',
      data.map((value) => value + added),
      [...dims],
    );
    return Promise.resolve({ y, rate: float([added], [1]) });
  }
}

const feeds = (rows: number, seed: number, rate = 1): Tensors => ({
  x: float(
    Array.from({ length: 4 * rows }, (_, index) => seed * 100 + index),
    [2, rows, 2],
  ),
  rate: float([rate], [1]),
});

const plain = (outputs: Tensors): unknown =>
  Object.entries(outputs).map(([name, { type, dims, data }]) => [name, type, dims, [...data]]);

test('runs of the same turn of the loop become one, and are equal to lone ones', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 2 })), {
        minLength: 1,
        maxLength: 8,
      }),
      async (calls) => {
        const graph = new Graph();
        const batcher = new Batcher(graph, { x: 1, y: 1 }, { maxBatch: 6 });
        const all = calls.map(([rows, rate], index) => feeds(rows, index + 1, rate));
        const joint = await Promise.all(all.map((one) => batcher.run(one)));
        const alone = await Promise.all(all.map((one) => new Graph().run(one)));
        expect(joint.map(plain)).toEqual(alone.map(plain));
        expect(Math.max(...graph.rows)).toBeLessThanOrEqual(6);
        expect(graph.rows.reduce((sum, rows) => sum + rows, 0)).toBe(
          calls.reduce((sum, [rows]) => sum + rows, 0),
        );
      },
    ),
    { numRuns: 50 },
  );
});

test('four runs of one row are one run of four', async () => {
  const graph = new Graph();
  const batcher = new Batcher(graph, { x: 1, y: 1 });
  await Promise.all([1, 2, 3, 4].map((seed) => batcher.run(feeds(1, seed))));
  expect(graph.rows).toEqual([4]);
});

test('a run that fails fails alone', async () => {
  const batcher = new Batcher(new Graph(), { x: 1, y: 1 });
  const bad = { ...feeds(1, 1), x: float([-1, 0, 0, 0], [2, 1, 2]) };
  const [first, second] = await Promise.allSettled([batcher.run(bad), batcher.run(feeds(1, 2))]);
  expect(first).toMatchObject({ status: 'rejected', reason: { message: 'minus one' } });
  expect(second.status).toBe('fulfilled');
});

test('inputs without rows are refused', async () => {
  const batcher = new Batcher(new Graph(), { z: 0 });
  await expect(batcher.run(feeds(1, 1))).rejects.toThrow(/batcher: inputs/);
});

test('a graph that throws at once rejects those that called it, and no others', async () => {
  const graph = new Graph();
  const run = graph.run.bind(graph);
  graph.run = (inputs) => {
    if ((inputs.x?.data as Float32Array).includes(-1)) throw new Error('at once');
    return run(inputs);
  };
  const batcher = new Batcher(graph, { x: 1, y: 1 });
  const bad = (rate: number): Tensors => ({
    x: float([-1, 0, 0, 0], [2, 1, 2]),
    rate: float([rate], [1]),
  });
  // Two run jointly, one alone.
  const settled = await Promise.allSettled([
    batcher.run(bad(1)),
    batcher.run(feeds(1, 2)),
    batcher.run(bad(2)),
  ]);
  expect(settled.map(({ status }) => status)).toEqual(['rejected', 'fulfilled', 'rejected']);
  expect(settled[2]).toMatchObject({ reason: { message: 'at once' } });
});
