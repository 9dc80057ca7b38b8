/** Models that take signals frame by frame: how each is called directly, and those that tests make. */
import { tensorFrom } from '@cabstand/client';
import type { Tensor } from '@cabstand/client';
import { eighths, value } from './kin';
import type { Kin } from './kin';
import { stepwise } from './stepwise';
import type { Loop } from './stepwise';

const signal = (name: string, count: number, seed: number, dtype: Tensor['dtype'] = 'float32') =>
  tensorFrom(name, dtype, eighths(count, seed), [count]);

const filled = (dtype: Tensor['dtype'], number: number, shape: number[]): Tensor =>
  tensorFrom(
    'state',
    dtype,
    eighths(shape.reduce((a, b) => a * b, 1)).map(() => number),
    shape,
  );

/** What a test knows of a model: how it is called directly. Public inputs are called as `signals` are. */
interface Streamed {
  readonly signals: (count: number, seed: number) => Record<string, Tensor>;
  /** Public names by those of the graph. */
  readonly inputs: Readonly<Record<string, string>>;
  readonly loop: Omit<Loop, 'signals'>;
}

const one =
  (name: string, dtype: Tensor['dtype']): Streamed['signals'] =>
  (count, seed) => ({ [name]: signal(name, count, seed, dtype) });
const two =
  (first: string, second: string): Streamed['signals'] =>
  (count, seed) => ({
    [first]: signal(first, count, seed),
    [second]: signal(second, count, seed + 1000),
  });

export const STREAMS: Readonly<Record<string, Streamed>> = {
  'f16-state-half': {
    signals: one('a', 'float16'),
    inputs: { x: 'a' },
    loop: {
      frame: 4,
      output: 'y',
      state: { input: 'h', initial: filled('float16', 0.5, [1, 4]), output: 'y' },
    },
  },
  'f16-state-columns': {
    signals: one('a', 'float16'),
    inputs: { x: 'a' },
    loop: {
      frame: 3,
      output: 'sum',
      state: { input: 'h', initial: filled('float16', -0.75, [3, 1]), output: 'next' },
    },
  },
  'emit-and-state': {
    signals: one('a', 'float32'),
    inputs: { x: 'a' },
    loop: {
      frame: 4,
      output: 'y',
      state: { input: 'h', initial: filled('float32', 0, [1, 4]), output: 'y' },
    },
  },
  'emit-and-state-columns': {
    signals: one('a', 'float32'),
    inputs: { x: 'a' },
    loop: {
      frame: 6,
      output: 'y',
      state: { input: 'h', initial: filled('float32', 2, [6, 1]), output: 'y' },
    },
  },
  'aec-two-streams': {
    signals: two('mic', 'ref'),
    inputs: { mic: 'mic', ref: 'ref' },
    loop: { frame: 160, output: 'y' },
  },
  'echo-with-memory': {
    signals: two('heard', 'played'),
    inputs: { h: 'heard', p: 'played' },
    loop: {
      frame: 10,
      output: 'y',
      state: { input: 's', initial: filled('float32', 0, [1, 10]), output: 'sn' },
    },
  },
};

const golden =
  (name: string): Kin['golden'] =>
  async (direct) => {
    const turns = [];
    for (const seed of [1, 2]) {
      const inputs = streamOf(name).signals(streamOf(name).loop.frame * 20, seed);
      const steps = await stepwise(direct, loopOf(name, inputs));
      turns.push({ inputs, records: steps.map((step) => [{ ...step, name: 'y' }]) });
    }
    return turns;
  };

export function streamOf(model: string): Streamed {
  const stream = STREAMS[model];
  if (stream === undefined) throw new Error(`no stream ${model}`);
  return stream;
}

export function loopOf(model: string, given: Readonly<Record<string, Tensor>>): Loop {
  const { inputs, loop } = streamOf(model);
  const signals = Object.entries(inputs).map(([graph, name]) => [graph, given[name]]);
  return { ...loop, signals: Object.fromEntries(signals) as Record<string, Tensor> };
}

const columns = (
  name: string,
  dtype: Tensor['dtype'],
  frame: number,
  initial: number,
  outputs: string,
): Kin => ({
  name,
  kind: 'stateful',
  graph: {
    inputs: [value('x', ['n', frame], dtype), value('h', [frame, 'n'], dtype)],
    outputs: [
      value('next', [frame, 'n'], dtype),
      value('sum', ['n', frame], dtype),
      value('y', [frame, 'n'], dtype),
    ],
    nodes: [
      { op: 'Transpose', inputs: ['x'], outputs: ['column'], attributes: { perm: [1, 0] } },
      { op: 'Sub', inputs: ['column', 'h'], outputs: ['y'] },
      { op: 'Identity', inputs: ['y'], outputs: ['next'] },
      { op: 'Transpose', inputs: ['y'], outputs: ['sum'], attributes: { perm: [1, 0] } },
    ],
  },
  manifest: `
graphs:
  main:
    file: m.onnx
    run: per-step
    inputs: { x: { from: frame, batch_axis: 0 }, h: { from: state, state: h, batch_axis: 1 } }
    outputs: { ${outputs} }
state: { h: { initial: ${initial}, shape: [${frame}, 1] } }
inputs: { a: { dtype: ${dtype}, shape: [t] } }
framing: { input: a, frame: ${frame} }`,
  golden: golden(name),
});

export const KIN: readonly Kin[] = [
  columns(
    'f16-state-columns',
    'float16',
    3,
    -0.75,
    'sum: { emit: y, batch_axis: 0 }, next: { state: h, batch_axis: 1 }',
  ),
  columns('emit-and-state-columns', 'float32', 6, 2, 'y: { emit: y, state: h, batch_axis: 1 }'),
  {
    name: 'echo-with-memory',
    kind: 'stateful',
    graph: {
      inputs: [value('p', ['n', 10]), value('s', ['n', 10]), value('h', ['n', 10])],
      outputs: [value('y', ['n', 10]), value('sn', ['n', 10])],
      nodes: [
        { op: 'Add', inputs: ['s', 'p'], outputs: ['sn'] },
        { op: 'Sub', inputs: ['h', 'sn'], outputs: ['y'] },
      ],
    },
    manifest: `
graphs:
  main:
    file: m.onnx
    run: per-step
    inputs:
      h: { from: frame, input: heard, batch_axis: 0 }
      p: { from: frame, input: played, batch_axis: 0 }
      s: { from: state, state: s, batch_axis: 0 }
    outputs: { y: { emit: y, batch_axis: 0 }, sn: { state: s, batch_axis: 0 } }
state: { s: { initial: zeros } }
inputs: { heard: { dtype: float32, shape: [t] }, played: { dtype: float32, shape: [t] } }
framing: { input: [heard, played], frame: 10 }`,
    golden: golden('echo-with-memory'),
  },
];
