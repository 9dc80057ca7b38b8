/** State that graphs hand on and do not change, in the memory of a device: what each step reads is what was written. */
import fc from 'fast-check';
import { onnxModel } from '@cabstand/testing';
import { tensorOf } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';
import type { DeviceSession } from '../native/device-session';
import { TEST_DEVICE } from '../native/test-device.fixture';
import type { RecurrentSequence } from '../turns/recurrent-sequence';
import { Bench } from './recurrent.fixture';

const ROWS = 'batch';
const STATES = {
  front: { graph: [ROWS, 2], input: [2], axis: 0 },
  middle: { graph: [2, ROWS, 3], input: [2, 3], axis: 1 },
  item: { graph: [ROWS, 1, 2], input: [1, 2], axis: 0 },
} as const;
const NAMES = ['front', 'middle', 'item'] as const;
type Name = (typeof NAMES)[number];

/** Gives what each input was a step before; of `item` the last three, in a window that begins with ones. */
const DELAY: [Buffer, string] = [
  onnxModel({
    inputs: NAMES.flatMap((name) => [
      { name, dtype: 'float32' as const, dims: STATES[name].graph },
      {
        name: `${name}_before`,
        dtype: 'float32' as const,
        dims: name === 'item' ? [ROWS, 3, 2] : STATES[name].graph,
      },
    ]),
    outputs: NAMES.flatMap((name) => [
      { name: `${name}_next`, dtype: 'float32' as const, dims: STATES[name].graph },
      {
        name: `${name}_out`,
        dtype: 'float32' as const,
        dims: name === 'item' ? [ROWS, 3, 2] : STATES[name].graph,
      },
    ]),
    nodes: NAMES.flatMap((name) => [
      { op: 'Identity', inputs: [name], outputs: [`${name}_next`] },
      { op: 'Identity', inputs: [`${name}_before`], outputs: [`${name}_out`] },
    ]),
  }),
  `
kind: stateful
graphs:
  step:
    file: m.onnx
    inputs:
${NAMES.map((name) => `      ${name}: { from: input, input: ${name}, batch_axis: ${STATES[name].axis} }\n      ${name}_before: { from: state, state: ${name}, batch_axis: ${STATES[name].axis} }`).join('\n')}
    outputs:
${NAMES.map((name) => `      ${name}_next: { state: ${name}, batch_axis: ${STATES[name].axis} }\n      ${name}_out: { emit: ${name}_out, batch_axis: ${STATES[name].axis} }`).join('\n')}
state:
  front: { initial: 1 }
  middle: { initial: 1 }
  item: { initial: 1, shape: [1, 3, 2], window: { axis: 1 } }
inputs:
${NAMES.map((name) => `  ${name}: { dtype: float32, shape: [${STATES[name].input.join(', ')}] }`).join('\n')}
`,
];

const LENGTH: Readonly<Record<Name, number>> = { front: 2, middle: 6, item: 2 };
const valuesOf = (name: Name, seed: number): number[] =>
  Array.from({ length: LENGTH[name] }, (_, at) => seed * 10 + at);
const inputs = (seed: number): Tensor[] =>
  NAMES.map((name) =>
    tensorOf(name, Float32Array.from(valuesOf(name, seed)), [...STATES[name].input]),
  );

/** A sequence, and the seeds of what it was given. */
interface Given {
  sequence: RecurrentSequence;
  readonly seeds: number[];
}

const ones = (count: number): number[] => Array.from({ length: count }, () => 1);

function expected(seeds: readonly number[]): unknown {
  const last = seeds.at(-1);
  const before = (name: Name): number[] =>
    last === undefined ? ones(LENGTH[name]) : valuesOf(name, last);
  const window = seeds.slice(-3).flatMap((seed) => valuesOf('item', seed));
  return {
    front_out: { values: before('front') },
    middle_out: { values: before('middle') },
    item_out: { values: [...ones(6 - window.length), ...window] },
  };
}

test('through any series of batches, snapshots and resumptions; nothing is left', async () => {
  const bench = await Bench.of(...DELAY, { provider: TEST_DEVICE, runtime: 'io-binding' });
  const [session] = bench.sessions;
  expect(session?.calledBy).toBe('io-binding');
  const { heap } = session as DeviceSession;
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.record({
          ids: fc.uniqueArray(fc.nat({ max: 5 }), { minLength: 1, maxLength: 6 }),
          resumes: fc.boolean(),
        }),
        { minLength: 1, maxLength: 12 },
      ),
      async (batches) => {
        const all = Array.from({ length: 6 }, (): Given => ({ sequence: bench.open(), seeds: [] }));
        for (const [step, { ids, resumes }] of batches.entries()) {
          const batch = ids.map((id) => all[id] as Given);
          const outputs = await bench.step(
            ...batch.map(({ sequence }, at) =>
              bench.begin(sequence, step, ...inputs(step * 7 + at)),
            ),
          );
          expect(outputs).toMatchObject(batch.map(({ seeds }) => expected(seeds)));
          batch.forEach(({ seeds }, at) => seeds.push(step * 7 + at));
          for (const { sequence } of batch) sequence.turn = undefined;
          const [first] = batch;
          if (!resumes || first === undefined) continue;
          const snapshot = bench.stepper.snapshot(first.sequence);
          bench.stepper.release(first.sequence);
          first.sequence = bench.open();
          bench.stepper.restore(first.sequence, snapshot);
        }
        for (const { sequence } of all) bench.stepper.release(sequence);
        expect(heap).toMatchObject({ live: 0, bytes: 0 });
      },
    ),
    { numRuns: 60 },
  );
});
