/** One graph's inputs and outputs for a layout, allocated once and used at every step. */
import { Tensor } from 'onnxruntime-node';
import { elementsOf } from '@cabstand/model';
import type { Parameters } from '@cabstand/model';
import { elementCount } from '@cabstand/tensor';
import type { GraphSession } from './graph-session';
import { OutputRows } from '../output/output-rows';
import { ScoreRows } from '../output/scores';
import type { Layout } from '../state/row-store';
import { BatchTensor, fill } from './batch-tensor';
import type { BoundGraph, BoundInput, BoundModel } from './bound';

export interface RunnableGraph {
  readonly bound: BoundGraph;
  readonly session: GraphSession;
}

/** Inputs that every row brings anew. */
interface RowInput {
  readonly input: BoundInput;
  readonly batch: BatchTensor;
  /** Which framed input it takes; -1 for other sources. */
  readonly framed: number;
}

/** An input or output of a graph that is state. */
interface StateBinding {
  /** In the graph. */
  readonly name: string;
  /** Index of the state. */
  readonly state: number;
}

export interface PreparedGraph {
  readonly graph: RunnableGraph;
  readonly feeds: Record<string, Tensor>;
  /** null: ONNX Runtime allocates. */
  readonly fetches: Record<string, Tensor | null>;
  readonly rowInputs: readonly RowInput[];
  readonly reads: readonly StateBinding[];
  /** Outputs that take the place of a state: they are written straight into its next copy. */
  readonly replaces: readonly StateBinding[];
  /** Outputs that are appended to a window along this axis. */
  readonly appends: readonly (StateBinding & { readonly axis: number })[];
  readonly emits: readonly OutputRows[];
  readonly logits: ScoreRows | undefined;
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
  const rowInputs: RowInput[] = [];
  const reads: StateBinding[] = [];
  for (const input of graph.bound.inputs) {
    const { source, name } = input;
    if (source.from === 'state') {
      reads.push({ name, state: stateIndex(model, source.state) });
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
    const framed = model.manifest.framed.findIndex(
      (one) => source.from === 'frame' && one.input === source.input,
    );
    if (source.from === 'constant') fillConstant(batch, input, layout.size);
    else rowInputs.push({ input, batch, framed });
  }
  return { graph, feeds, rowInputs, reads, ...prepareOutputs(model, graph.bound) };
}

type PreparedOutputs = Pick<PreparedGraph, 'fetches' | 'replaces' | 'appends' | 'emits' | 'logits'>;

/** An output may be several things at once: a record, a state, scores. */
function prepareOutputs(model: BoundModel, graph: BoundGraph): PreparedOutputs {
  const fetches: Record<string, Tensor | null> = {};
  const replaces: StateBinding[] = [];
  const appends: (StateBinding & { axis: number })[] = [];
  const emits: OutputRows[] = [];
  let logits: ScoreRows | undefined;
  for (const output of graph.outputs) {
    const { name } = output;
    fetches[name] = null;
    for (const sink of output.sinks) {
      if (sink.to === 'emit') emits.push(new OutputRows(sink.output, output));
      else if (sink.to === 'logits') logits = new ScoreRows(output);
      else {
        const state = stateIndex(model, sink.state);
        const window = model.manifest.state[state]?.window;
        if (window === undefined) replaces.push({ name, state });
        else appends.push({ name, state, axis: window.axis });
      }
    }
  }
  return { fetches, replaces, appends, emits, logits };
}

function stateIndex(model: BoundModel, name: string): number {
  return model.states.findIndex((one) => one.name === name);
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
    fill(input.dtype, batch.array, source.value);
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
