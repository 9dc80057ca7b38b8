/** One graph's inputs and outputs for a layout, allocated once and used at every step. */
import { Tensor } from 'onnxruntime-node';
import type { InferenceSession } from 'onnxruntime-node';
import { elementsOf } from '@cabstand/model';
import type { Parameters } from '@cabstand/model';
import { elementCount } from '@cabstand/tensor';
import type { BoundGraph, BoundInput, BoundModel, BoundOutput } from './bound';
import { BatchTensor, fill } from './batch-tensor';
import type { Layout } from '../state/row-store';
import { tensorPrefix } from '../output/step-writer';

export interface RunnableGraph {
  readonly bound: BoundGraph;
  readonly session: InferenceSession;
}

/** Inputs that every row brings anew. */
interface RowInput {
  readonly input: BoundInput;
  readonly batch: BatchTensor;
}

/** A public output of a step. */
export interface Emit {
  readonly name: string;
  readonly output: BoundOutput;
  /** Where it is written; undefined where only a run tells its shape. */
  readonly batch: BatchTensor | undefined;
  /** Constant beginning of its bytes in a chunk. */
  readonly prefix: Buffer;
}

export interface PreparedGraph {
  readonly graph: RunnableGraph;
  readonly feeds: Record<string, Tensor>;
  readonly fetches: Record<string, Tensor | null>;
  readonly rowInputs: readonly RowInput[];
  /** Inputs and outputs that are state: name in the graph, number of the state. */
  readonly reads: readonly { name: string; state: number }[];
  readonly writes: readonly { name: string; state: number }[];
  readonly emits: readonly Emit[];
  readonly logits: { name: string; batch: BatchTensor | undefined } | undefined;
}

/** What all rows of a group share. */
export interface GroupFeeds {
  /** Tensors that are not batched, by graph and input name. */
  readonly shared: ReadonlyMap<string, Tensor>;
  /** Shapes of batched `input` sources as callers sent them. */
  readonly shapes: ReadonlyMap<string, readonly number[]>;
}

export function sharedKey(graph: BoundGraph, input: BoundInput): string {
  return `${graph.spec.name}\0${input.name}`;
}

export function prepareGraph(
  model: BoundModel,
  graph: RunnableGraph,
  group: GroupFeeds,
  layout: Layout,
): PreparedGraph {
  const feeds: Record<string, Tensor> = {};
  const fetches: Record<string, Tensor | null> = {};
  const rowInputs: RowInput[] = [];
  const reads: { name: string; state: number }[] = [];
  const writes: { name: string; state: number }[] = [];
  const emits: Emit[] = [];
  let logits: PreparedGraph['logits'];
  const stateIndex = (name: string): number => model.states.findIndex((one) => one.name === name);

  for (const input of graph.bound.inputs) {
    const { source, name } = input;
    if (source.from === 'state') {
      reads.push({ name, state: stateIndex(source.state) });
      continue;
    }
    const shared = group.shared.get(sharedKey(graph.bound, input));
    if (shared !== undefined) {
      feeds[name] = shared;
      continue;
    }
    const shape = rowShape(model, input, group);
    const batch = new BatchTensor(input.dtype, shape, input.batchAxis, layout.size);
    feeds[name] = batch.tensor;
    if (source.from === 'constant') fillConstant(batch, input, layout.size);
    else rowInputs.push({ input, batch });
  }
  for (const output of graph.bound.outputs) {
    const { sinks, name } = output;
    const [sink] = sinks;
    if (sink === undefined) continue;
    if (sink.to === 'state') {
      writes.push({ name, state: stateIndex(sink.state) });
      continue;
    }
    const batch = knownOutput(output, layout.size);
    fetches[name] = batch?.tensor ?? null;
    if (sink.to === 'logits') logits = { name, batch };
    else
      emits.push({
        name: sink.output,
        output,
        batch,
        prefix: prefixOf(sink.output, output, batch),
      });
  }
  return { graph, feeds, fetches, rowInputs, reads, writes, emits, logits };
}

/** Shape of one row of an input, 1 at the batch axis. */
function rowShape(model: BoundModel, input: BoundInput, group: GroupFeeds): number[] {
  const { source, batchAxis } = input;
  const { framed, inputs, parameters } = model.manifest;
  const withAxis = (shape: readonly number[]): number[] =>
    batchAxis === null ? [...shape] : shape.toSpliced(batchAxis, 0, 1);
  const framing = framed.find((one) => source.from === 'frame' && one.input === source.input);
  if (framing !== undefined) {
    const spec = inputs.find(({ name }) => name === framing.input);
    const shape = (spec?.shape ?? []).map((size, axis) =>
      axis === framing.axis ? framing.carry + framing.frame : Number(size),
    );
    return withAxis(shape);
  }
  if (source.from === 'input') return withAxis(group.shapes.get(source.input) ?? []);
  if (source.from === 'parameter')
    return withAxis(parameters.find(({ name }) => name === source.parameter)?.shape ?? []);
  // Items, tokens and constants: one element, or what the graph says.
  return input.dims.map((size, axis) => (axis === batchAxis ? 1 : (size ?? 1)));
}

function fillConstant(batch: BatchTensor, input: BoundInput, rows: number): void {
  const { source } = input;
  if (source.from !== 'constant') return;
  if (typeof source.value === 'number') {
    fill(batch.array, source.value);
    return;
  }
  const row = elementsOf(source.value, input.dtype, batch.rowLength);
  for (let index = 0; row !== undefined && index < rows; index += 1) batch.writeRow(index, row);
}

/** The tensor of an input that is not batched, or undefined for other sources. */
export function sharedTensor(
  model: BoundModel,
  input: BoundInput,
  parameters: Parameters,
): Tensor | undefined {
  const { source, batchAxis, dtype, dims } = input;
  if (batchAxis !== null) return undefined;
  if (source.from !== 'parameter' && source.from !== 'constant') return undefined;
  const shape =
    source.from === 'parameter'
      ? (model.manifest.parameters.find(({ name }) => name === source.parameter)?.shape ?? [])
      : constantShape(dims, source.value);
  const value = source.from === 'parameter' ? (parameters[source.parameter] ?? 0) : source.value;
  const elements = elementsOf(value, dtype, elementCount(shape));
  return elements && new Tensor(dtype, elements as Float32Array, [...shape]);
}

/** Free dimensions of a constant take the length of its list, the first of them. */
function constantShape(
  dims: readonly (number | undefined)[],
  value: number | readonly number[],
): number[] {
  const fixed = dims.reduce<number>((product, size) => product * (size ?? 1), 1);
  let left = typeof value === 'number' ? 1 : Math.max(1, Math.floor(value.length / fixed));
  return dims.map((size) => {
    if (size !== undefined) return size;
    const taken = left;
    left = 1;
    return taken;
  });
}

function knownOutput(output: BoundOutput, rows: number): BatchTensor | undefined {
  const { dims, batchAxis, dtype } = output;
  if (dtype === 'string') return undefined;
  const shape = dims.map((size, axis) => (axis === batchAxis ? 1 : size));
  if (shape.some((size) => size === undefined)) return undefined;
  return new BatchTensor(dtype, shape as number[], batchAxis, rows);
}

function prefixOf(name: string, output: BoundOutput, batch: BatchTensor | undefined): Buffer {
  if (batch === undefined) return Buffer.alloc(0);
  const shape = output.dims.map((size, axis) => (axis === output.batchAxis ? 1 : (size ?? 1)));
  return tensorPrefix(name, output.dtype, shape, batch.rowBytes);
}
