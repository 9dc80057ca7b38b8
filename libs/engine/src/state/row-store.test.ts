import fc from 'fast-check';
import type { NumericArray } from '@cabstand/tensor';
import type { BatchTensor } from '../graphs/batch-tensor';
import type { BoundState } from '../graphs/bound';
import type { StateBatch } from '../graphs/state-memory';
import { Layouts } from './row-store';
import type { Occupant } from './row-store';

/** A batch in JavaScript's memory. */
type InArray = StateBatch & Pick<BatchTensor, 'array' | 'rowLength'>;

const state = (shape: readonly number[], batchAxis: number): BoundState => ({
  name: 's',
  dtype: 'float32',
  shape,
  batchAxis,
  initial: 0,
  scope: 'session',
  bytes: 0,
});

test('state follows its sequence through any series of batches', () => {
  fc.assert(
    fc.property(
      fc.array(fc.uniqueArray(fc.nat({ max: 7 }), { minLength: 1, maxLength: 6 }), {
        maxLength: 30,
      }),
      (batches) => {
        const states = [state([1, 2], 0), state([2, 1, 3], 1)];
        const layouts = new Layouts(states, 2);
        const all = Array.from({ length: 8 }, (): Occupant => ({
          parked: [new Float32Array(2), new Float32Array(6)],
          home: undefined,
        }));
        const expected = all.map(() => 0);
        for (const ids of batches) {
          const layout = layouts.place(ids.map((id) => all[id] as Occupant));
          // A step adds the sequence's number to its state, from one copy into the other.
          states.forEach((_, index) => {
            const [from, to] = [layout.stateTensor(index, 0), layout.stateTensor(index, 1)];
            layout.rows.forEach((occupant, row) => {
              const id = all.indexOf(occupant as Occupant);
              const values = new Float32Array((from as InArray).rowLength) as NumericArray;
              from.readRow(row, values);
              to.writeRow(
                row,
                (values as Float32Array).map((value) => value + id + 1),
              );
            });
            layout.advance(index);
          });
          for (const id of ids) expected[id] = (expected[id] ?? 0) + id + 1;
        }
        all.forEach((occupant, id) => {
          layouts.park(occupant);
          for (const parked of occupant.parked)
            expect([...(parked as Float32Array)].every((value) => value === expected[id])).toBe(
              true,
            );
        });
      },
    ),
  );
});

test('a batch that stays the same is not moved', () => {
  const layouts = new Layouts([state([1, 4], 0)], 2);
  const batch = Array.from({ length: 3 }, (): Occupant => ({
    parked: [new Float32Array(4)],
    home: undefined,
  }));
  const layout = layouts.place(batch);
  expect(layouts.place(batch.toReversed())).toBe(layout);
  expect(layouts.place(batch.slice(1))).not.toBe(layout);
});

test('one row goes back to what the step read, its neighbours stay', () => {
  const states = [state([1, 2], 0), state([2, 1, 3], 1)];
  const layouts = new Layouts(states, 3);
  const all = [1, 2, 3].map((id): Occupant => ({
    parked: [new Float32Array(2).fill(id), new Float32Array(6).fill(id)],
    home: undefined,
  }));
  const layout = layouts.place(all);
  const before = layout.mark();
  // Only the second state is written, and twice.
  for (let write = 0; write < 2; write += 1) {
    ((layout.stateTensor(1, 1) as InArray).array as Float32Array).fill(write + 8);
    layout.advance(1);
  }
  layout.undo(1, before);
  const values = all.map((one) =>
    layouts.peek(one).map((array) => [...new Set(array as Float32Array)]),
  );
  expect(values).toEqual([
    [[1], [9]],
    [[2], [2]],
    [[3], [9]],
  ]);
});
