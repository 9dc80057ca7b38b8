import { onnxModel } from '@cabstand/testing';
import { stringTensor, tensorOf } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';
import type { GraphSession } from '../graphs/graph-session';
import { decodeFrame } from '../frames/codec';
import { PREFIX } from '../frames/layout';
import type { JointRun } from '../graphs/joint-run';
import { makeModel } from '../graphs/model.fixture';
import { findRowAxes } from '../graphs/row-axes';
import { StepWriter } from '../output/step-writer';
import { decodeChunk } from '../verify/decode-chunk';
import { StatelessStepper } from './stateless';
import type { StatelessSequence } from './stateless';

const rows = (...values: number[][]): Tensor =>
  tensorOf('x', Float32Array.from(values.flat()), [values.length, values[0]?.length ?? 0]);

class Bench {
  readonly stepper: StatelessStepper;
  readonly runs: JointRun['callers'][] = [];
  #next = 0;

  private constructor(stepper: StatelessStepper) {
    this.stepper = stepper;
    stepper.tap = ({ callers }) => this.runs.push(callers);
  }

  static async of(bytes: Buffer, manifest: string, sample: readonly Tensor[]): Promise<Bench> {
    const made = await makeModel(bytes, manifest);
    const turn = { prompt: '', parameters: {}, inputs: sample };
    const model = await findRowAxes(made.model, made.sessions, [turn]);
    const [session] = made.sessions;
    return new Bench(
      new StatelessStepper(model, session as GraphSession, model.batchable ? 16 : 1),
    );
  }

  begin(...inputs: Tensor[]): StatelessSequence {
    const sequence = this.stepper.open(this.#next, 0);
    this.#next += 1;
    this.stepper.begin(sequence, {
      type: 'TURN',
      sequence: sequence.id,
      turn: 0,
      prompt: '',
      parameters: {},
      inputs,
      live: false,
    });
    return sequence;
  }

  /** One step with all of them; answers each one's outputs by name, or its error. */
  async step(...batch: StatelessSequence[]): Promise<(Record<string, Tensor> | string)[]> {
    const out = new StepWriter();
    await this.stepper.step(batch, out);
    const [bytes = Buffer.alloc(0)] = out.take(batch.length, 0);
    const frame = decodeFrame(bytes[PREFIX - 1] ?? 0, bytes.subarray(PREFIX));
    if (frame.type !== 'STEP') throw new Error(`not a step: ${frame.type}`);
    return batch.map(({ id }) => {
      const items = frame.items.filter((item) => item.sequence === id);
      const chunk = items.find((item) => item.kind === 'chunk');
      const end = items.find((item) => item.kind === 'end');
      if (end?.end.reason === 'error') return end.end.error.reason;
      if (chunk === undefined) throw new Error('no chunk');
      const { outputs } = decodeChunk(chunk.chunk);
      return Object.fromEntries(outputs.map((tensor) => [tensor.name, tensor]));
    });
  }
}

const numbers = (tensor: Tensor | undefined): number[] => [
  ...new Float32Array(new Uint8Array(tensor?.data ?? []).buffer),
];

/** `y` = 2x follows the rows; `sum` over all of them does not. */
const withSum = (sum: boolean): [Buffer, string] => [
  onnxModel({
    inputs: [{ name: 'x', dtype: 'float32', dims: ['n', 2] }],
    outputs: [
      { name: 'y', dtype: 'float32', dims: ['n', 2] },
      { name: 'sum', dtype: 'float32', dims: [] },
    ],
    nodes: [
      { op: 'Add', inputs: ['x', 'x'], outputs: ['y'] },
      { op: 'ReduceSum', inputs: ['x'], outputs: ['sum'], attributes: { keepdims: 0 } },
    ],
  }),
  `
graphs:
  main:
    file: m.onnx
    inputs: { x: { from: input, input: x, batch_axis: 0 } }
    outputs: { y: { emit: y }${sum ? ', sum: { emit: sum }' : ''} }
inputs: { x: { dtype: float32, shape: [n, 2] } }
`,
];

test('turns of several rows share a run, and each gets its own rows back', async () => {
  const bench = await Bench.of(...withSum(false), [rows([1, 2])]);
  const [a, b] = await bench.step(bench.begin(rows([1, 2], [3, 4])), bench.begin(rows([5, 6])));
  expect(bench.runs).toEqual([
    [
      { from: 0, count: 2 },
      { from: 2, count: 1 },
    ],
  ]);
  expect(a).toMatchObject({ y: { shape: [2, 2] } });
  expect(numbers((a as Record<string, Tensor>)['y'])).toEqual([2, 4, 6, 8]);
  expect(numbers((b as Record<string, Tensor>)['y'])).toEqual([10, 12]);
});

test('an output that follows no rows is given as the graph gave it, and keeps turns apart', async () => {
  const bench = await Bench.of(...withSum(true), [rows([1, 2])]);
  expect(bench.stepper.maxBatch).toBe(1);
  const [a] = await bench.step(bench.begin(rows([1, 2], [3, 4])));
  expect(a).toMatchObject({ y: { shape: [2, 2] }, sum: { shape: [] } });
  expect(numbers((a as Record<string, Tensor>)['sum'])).toEqual([10]);
});

/** `y` = the rows of `table` that `ids` name; both a caller's. */
const LOOKUP: [Buffer, string] = [
  onnxModel({
    inputs: [
      { name: 'table', dtype: 'string', dims: ['words'] },
      { name: 'ids', dtype: 'int64', dims: ['n'] },
    ],
    outputs: [{ name: 'y', dtype: 'string', dims: ['n'] }],
    nodes: [{ op: 'Gather', inputs: ['table', 'ids'], outputs: ['y'] }],
  }),
  `
graphs:
  main:
    file: m.onnx
    inputs:
      table: { from: input, input: table }
      ids: { from: input, input: ids, batch_axis: 0 }
    outputs: { y: { emit: y } }
inputs: { table: { dtype: string, shape: [words] }, ids: { dtype: int64, shape: [n] } }
`,
];

const ids = (...values: bigint[]): Tensor => tensorOf('ids', BigInt64Array.from(values));

test('what is not batched is compared by value: equal ones share a group, others never', async () => {
  const table = (...words: string[]): Tensor => stringTensor('table', words);
  const bench = await Bench.of(...LOOKUP, [table('a', 'b'), ids(0n)]);
  const group = (words: string[]): object =>
    bench.stepper.group(bench.begin(table(...words), ids(0n)));
  expect(group(['a', 'b'])).toBe(group(['a', 'b']));
  expect(group(['a', 'b'])).not.toBe(group(['a', 'c']));
  expect(group(['a,b'])).not.toBe(group(['a', 'b']));
  const long = 'x'.repeat(2000);
  expect(group([long])).not.toBe(group([long]));
});

test('the one whose row no graph takes ends alone; the others go on, and the split is counted', async () => {
  const table = stringTensor('table', ['a', 'b']);
  const bench = await Bench.of(...LOOKUP, [table, ids(0n)]);
  const [good, bad] = [bench.begin(table, ids(1n, 0n)), bench.begin(table, ids(7n))];
  expect(bench.stepper.group(good)).toBe(bench.stepper.group(bad));
  const [a, b] = await bench.step(good, bad);
  expect(a).toMatchObject({ y: { shape: [2], strings: ['b', 'a'] } });
  expect(b).toBe('INVALID_ARGUMENT');
  expect(bench.stepper.splits).toBe(1);
  expect(bench.runs).toEqual([]);
});

test('a turn that was left starts over, and only where its parameters are the same', async () => {
  const bench = await Bench.of(...withSum(false), [rows([1, 2])]);
  const left = bench.stepper.snapshot(bench.begin(rows([1, 2])));
  const goOn = (snapshot: Buffer): StatelessSequence => {
    const sequence = bench.stepper.open(100, 0);
    bench.stepper.restore(sequence, snapshot);
    expect(sequence.resume).toMatchObject({ turn: 0, records: 0, steps: 0 });
    bench.stepper.begin(sequence, {
      ...{ type: 'TURN', sequence: 100, turn: 0, prompt: '', parameters: {} },
      ...{ inputs: [rows([1, 2])], live: false, continued: true },
    });
    return sequence;
  };
  const [again] = await bench.step(goOn(left));
  expect(numbers((again as Record<string, Tensor>)['y'])).toEqual([2, 4]);
  const others = Buffer.from(left);
  others[others.length - 1] = (others.at(-1) ?? 0) ^ 1;
  expect(() => goOn(others)).toThrow(/the parameters are not those that it began with/);
});
