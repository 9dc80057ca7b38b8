/** State in the memory of a device, here the CPU's by the same calls, beside state in JavaScript's: equal in every bit. */
import fc from 'fast-check';
import { onnxModel } from '@cabstand/testing';
import { tensorOf } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';
import type { DeviceSession } from '../native/device-session';
import type { RecurrentSequence } from '../turns/recurrent-sequence';
import { Bench } from './recurrent.fixture';

const ROWS = 'batch';

/**
 * States with rows in front, in the middle and one that lasts a turn; and a window. Refuses a `pick` beyond its table.
 */
const MODEL: [Buffer, string] = [
  onnxModel({
    inputs: [
      { name: 'x', dtype: 'float32', dims: [ROWS, 2] },
      { name: 'pick', dtype: 'int64', dims: [ROWS, 1] },
      { name: 'sum', dtype: 'float32', dims: [ROWS, 2] },
      { name: 'turned', dtype: 'float32', dims: [2, ROWS, 1] },
      { name: 'count', dtype: 'int64', dims: [ROWS, 1] },
      { name: 'recent', dtype: 'float32', dims: [ROWS, 3, 2] },
    ],
    outputs: [
      { name: 'sum_next', dtype: 'float32', dims: [ROWS, 2] },
      { name: 'turned_next', dtype: 'float32', dims: [2, ROWS, 1] },
      { name: 'count_next', dtype: 'int64', dims: [ROWS, 1] },
      { name: 'new', dtype: 'float32', dims: [ROWS, 1, 2] },
      { name: 'lately', dtype: 'float32', dims: [ROWS, 2] },
      { name: 'both', dtype: 'float32', dims: [ROWS, 1] },
    ],
    nodes: [
      { op: 'Gather', inputs: ['table', 'pick'], outputs: ['picked'] },
      { op: 'Add', inputs: ['x', 'picked'], outputs: ['more'] },
      { op: 'Add', inputs: ['sum', 'more'], outputs: ['grown'] },
      { op: 'Tanh', inputs: ['grown'], outputs: ['sum_next'] },
      { op: 'ReduceSum', inputs: ['more', 'columns'], outputs: ['row'] },
      { op: 'Sub', inputs: ['turned', 'row'], outputs: ['changed'] },
      { op: 'Sin', inputs: ['changed'], outputs: ['turned_next'] },
      { op: 'Add', inputs: ['count', 'one'], outputs: ['count_next'] },
      { op: 'Unsqueeze', inputs: ['more', 'columns'], outputs: ['new'] },
      {
        op: 'ReduceSum',
        inputs: ['recent', 'columns'],
        outputs: ['lately'],
        attributes: { keepdims: 0 },
      },
      {
        op: 'ReduceSum',
        inputs: ['turned_next', 'front'],
        outputs: ['both'],
        attributes: { keepdims: 0 },
      },
    ],
    initializers: [
      { name: 'table', dtype: 'float32', shape: [3], values: [0, 0.25, 7] },
      { name: 'one', dtype: 'int64', shape: [1], values: [1] },
      { name: 'front', dtype: 'int64', shape: [1], values: [0] },
      { name: 'columns', dtype: 'int64', shape: [1], values: [1] },
    ],
  }),
  `
kind: stateful
graphs:
  step:
    file: m.onnx
    inputs:
      x: { from: input, input: x, batch_axis: 0 }
      pick: { from: input, input: pick, batch_axis: 0 }
      sum: { from: state, state: sum, batch_axis: 0 }
      turned: { from: state, state: turned, batch_axis: 1 }
      count: { from: state, state: count, batch_axis: 0 }
      recent: { from: state, state: recent, batch_axis: 0 }
    outputs:
      sum_next: { emit: sum, state: sum, batch_axis: 0 }
      turned_next: { state: turned, batch_axis: 1 }
      count_next: { emit: count, state: count, batch_axis: 0 }
      new: { state: recent, batch_axis: 0 }
      lately: { emit: lately, batch_axis: 0 }
      both: { emit: both, batch_axis: 0 }
state:
  sum: { initial: zeros }
  turned: { initial: 2 }
  count: { initial: 5, scope: turn }
  recent: { initial: 1, shape: [1, 3, 2], window: { axis: 1 } }
inputs:
  x: { dtype: float32, shape: [2] }
  pick: { dtype: int64, shape: [1] }
`,
];

const inputs = (seed: number, pick: number): Tensor[] => [
  tensorOf('x', Float32Array.of(Math.sin(seed), Math.cos(3 * seed)), [2]),
  tensorOf('pick', BigInt64Array.of(BigInt(pick)), [1]),
];

async function benches(): Promise<[Bench, Bench]> {
  return [await Bench.of(...MODEL), await Bench.of(...MODEL, { runtime: 'io-binding' })];
}

const heapOf = (bench: Bench): DeviceSession['heap'] => (bench.sessions[0] as DeviceSession).heap;

test('through any series of batches, snapshots, resumptions and failures; nothing is left', async () => {
  const both = await benches();
  const [, device] = both;
  expect(both.map(({ sessions: [session] }) => session?.calledBy)).toEqual(['c-api', 'io-binding']);
  let joint = 0;
  device.stepper.tap = () => (joint += 1);
  let resumed = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.record({
          ids: fc.uniqueArray(fc.nat({ max: 5 }), { minLength: 1, maxLength: 6 }),
          // 3 is refused, and ends that row alone.
          picks: fc.array(fc.nat({ max: 3 }), { minLength: 6, maxLength: 6 }),
          after: fc.constantFrom('nothing', 'snapshot', 'resume', 'close'),
        }),
        { minLength: 1, maxLength: 12 },
      ),
      async (batches) => {
        const all = both.map((bench) => Array.from({ length: 6 }, () => bench.open()));
        const at = (side: number, id: number): RecurrentSequence =>
          all[side]?.[id] as RecurrentSequence;
        for (const [step, { ids, picks, after }] of batches.entries()) {
          const seen: unknown[] = [];
          for (const [side, bench] of both.entries()) {
            const rows = ids.map((id) =>
              bench.begin(at(side, id), step, ...inputs(step * 7 + id, picks[id] ?? 0)),
            );
            const outputs = await bench.step(...rows);
            for (const row of rows) row.turn = undefined;
            const [first = 0] = ids;
            const snapshots: string[] = [];
            if (after !== 'nothing') {
              const snapshot = bench.stepper.snapshot(at(side, first));
              snapshots.push(snapshot.toString('hex'));
              if (after === 'resume' || after === 'close') {
                bench.stepper.release(at(side, first));
                const next = bench.open();
                if (after === 'resume') bench.stepper.restore(next, snapshot);
                (all[side] as RecurrentSequence[])[first] = next;
                resumed += 1;
              }
            }
            seen.push([outputs, snapshots]);
          }
          expect(seen[1]).toEqual(seen[0]);
        }
        for (const [side, bench] of both.entries())
          for (const sequence of all[side] ?? []) bench.stepper.release(sequence);
        expect(heapOf(device)).toMatchObject({ live: 0, bytes: 0 });
      },
    ),
    { numRuns: 60 },
  );
  expect(joint).toBeGreaterThan(50);
  expect(resumed).toBeGreaterThan(20);
  expect(device.stepper.splits).toBeGreaterThan(5);
});

test('state has as many bytes on the device as sequences have, twice while they run', async () => {
  const [, bench] = await benches();
  const heap = heapOf(bench);
  const a = bench.open();
  const own = 8 + 8 + 8 + 24;
  expect(heap.bytes).toBe(own);
  await bench.step(bench.begin(a, 0, ...inputs(1, 0)));
  const running = heap.bytes;
  expect(running % own).toBe(0);
  expect(running).toBeGreaterThan(own);
  bench.stepper.snapshot(a);
  expect(heap.bytes).toBe(running);
  const b = bench.open();
  a.turn = undefined;
  await bench.step(bench.begin(a, 1, ...inputs(1, 0)), bench.begin(b, 0, ...inputs(2, 0)));
  expect(heap.bytes).toBe(2 * running);
  for (const sequence of [a, b]) bench.stepper.release(sequence);
  expect(heap).toMatchObject({ live: 0, bytes: 0 });
});
