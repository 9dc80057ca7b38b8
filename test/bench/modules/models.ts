/** What the benchmark of modules serves: a module that emits, one that computes for ever, and a stateful model. */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { onnxModel } from '@cabstand/testing';

/** float32 elements of a record of 2 KB. */
export const SMALL = 512;

const EMITTER = `
export default class Emitter {
  static load(env: any) { return new Emitter(env.Tensor); }
  constructor(private readonly Tensor: any) {}
  newState() { return {}; }
  async startSession(ctx: any) {
    const { elements } = ctx.parameters;
    const y = new this.Tensor('float32', new Float32Array(elements).fill(0.5), [elements]);
    while (!ctx.shouldStop()) await ctx.emit({ y });
  }
}
`;

/** Milliseconds between two frames of the ticker. */
export const FRAME_MS = 20;

const TICKER = `
export default class Ticker {
  static load(env: any) { return new Ticker(env.Tensor); }
  constructor(private readonly Tensor: any) {}
  newState() { return { i: 0 }; }
  async startSession(ctx: any) {
    while (await ctx.idle(${FRAME_MS})) {
      await ctx.checkpoint();
      const y = new this.Tensor('float32', Float32Array.of(ctx.state.i++), [1]);
      await ctx.emit({ y });
    }
  }
}
`;

/** Says when it has seen its stop, by the clock that all processes share (CLOCK_MONOTONIC). */
const BLOCKER = `
export default class Blocker {
  static load() { return new Blocker(); }
  newState() { return {}; }
  async startSession(ctx: any) {
    await ctx.emit({}, { text: 'computes' });
    let sum = 0;
    do for (let i = 0; i < 1000; i += 1) sum += Math.sqrt(i + sum);
    while (!ctx.shouldStop());
    const seen = process.hrtime.bigint();
    await ctx.emit({}, { text: String(seen) });
  }
}
`;

/** Each record is the whole state: as many bytes as one of the emitter's. */
const ADDER = onnxModel({
  inputs: [
    { name: 'frame', dtype: 'float32', dims: ['n', 4] },
    { name: 'total', dtype: 'float32', dims: ['n', SMALL] },
  ],
  outputs: [
    { name: 'level', dtype: 'float32', dims: ['n', SMALL] },
    { name: 'total_next', dtype: 'float32', dims: ['n', SMALL] },
  ],
  nodes: [
    {
      op: 'ReduceMean',
      inputs: ['frame'],
      outputs: ['mean'],
      attributes: { axes: [1], keepdims: 1 },
    },
    { op: 'Add', inputs: ['total', 'mean'], outputs: ['level'] },
    { op: 'Identity', inputs: ['level'], outputs: ['total_next'] },
  ],
});

const ADDER_MANIFEST = `
kind: stateful
graphs:
  step:
    file: adder.onnx
    run: per-step
    inputs:
      frame: { from: frame, batch_axis: 0 }
      total: { from: state, state: total, batch_axis: 0 }
    outputs:
      level: { emit: level, batch_axis: 0 }
      total_next: { state: total, batch_axis: 0 }
state: { total: { initial: zeros, shape: [1, ${SMALL}] } }
inputs: { signal: { dtype: float32, shape: [samples], minimum: -1, maximum: 1 } }
framing: { input: signal, frame: 4, hop: 4, remainder: drop }
`;

/** Writes the models into a repository. */
export function writeModels(repository: string): void {
  const model = (name: string, manifest: string, file: string, content: string | Buffer): void => {
    const folder = path.join(repository, name);
    mkdirSync(path.join(folder, '1'), { recursive: true });
    writeFileSync(path.join(folder, 'model.yaml'), manifest);
    writeFileSync(path.join(folder, '1', file), content);
  };
  const emitter = `
kind: module
parameters: { elements: { dtype: int32, default: ${SMALL} } }
outputs: { y: { dtype: float32, shape: [n] } }
`;
  model('emitter', emitter, 'index.ts', EMITTER);
  model('blocker', 'kind: module\noutputs: {}\n', 'index.ts', BLOCKER);
  const ticker =
    'kind: module\nsessions: exclusive\nsurvival: replay\noutputs: { y: { dtype: float32, shape: [1] } }\n';
  model('ticker', ticker, 'index.ts', TICKER);
  model('adder', ADDER_MANIFEST, 'adder.onnx', ADDER);
}
