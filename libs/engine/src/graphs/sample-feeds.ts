/** Feeds of one graph alone, with as many rows as wanted: what is known of a graph is found by running it. */
import { Tensor } from 'onnxruntime-node';
import { CabstandError } from '@cabstand/core';
import { elementsOf, encodeText, resolveParameters } from '@cabstand/model';
import type { Parameters } from '@cabstand/model';
import { arrayOf, elementCount } from '@cabstand/tensor';
import type { NumericArray, Tensor as PlainTensor } from '@cabstand/tensor';
import { allocate, copyAt, fill, slice } from './batch-tensor';
import type { BoundGraph, BoundInput, BoundModel } from './bound';
import { sharedTensor } from './buffers';
import { joinRows } from './rows';
import type { Values } from './rows';

/** What a caller could send for a turn. */
export interface SampleTurn {
  readonly prompt: string;
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly inputs: readonly PlainTensor[];
}

/** As in the first step of a turn; each row is one of the turn's, or a copy of its only one. */
export function sampleFeeds(
  model: BoundModel,
  graph: BoundGraph,
  turn: SampleTurn,
  rows: number,
): Record<string, Tensor> {
  const parameters = resolveParameters(model.manifest.parameters, turn.parameters);
  return Object.fromEntries(
    graph.inputs.map((input) => [input.name, feedOf(model, input, turn, parameters, rows)]),
  );
}

function feedOf(
  model: BoundModel,
  input: BoundInput,
  turn: SampleTurn,
  parameters: Parameters,
  rows: number,
): Tensor {
  const { dtype, batchAxis } = input;
  const shared = sharedTensor(model, input, parameters);
  if (shared !== undefined) return shared;
  const { shape, values } = oneRow(model, input, turn, parameters);
  if (batchAxis === null) return new Tensor(dtype, values, [...shape]);
  const had = shape[batchAxis] ?? 1;
  const dims = shape.with(batchAxis, rows);
  const ranges = Array.from({ length: rows }, (_, row) => ({
    values,
    rows: had,
    from: had === 0 ? 0 : row % had,
    count: 1,
  }));
  return new Tensor(dtype, joinRows(dtype, dims, batchAxis, ranges), dims);
}

interface Shaped {
  readonly shape: readonly number[];
  readonly values: Values;
}

/** Values of an input with its row axis in its shape; stateless turns may bring several rows. */
function oneRow(
  model: BoundModel,
  input: BoundInput,
  turn: SampleTurn,
  parameters: Parameters,
): Shaped {
  const { source, dtype, batchAxis, dims } = input;
  const { manifest } = model;
  const withAxis = (shape: readonly number[]): readonly number[] =>
    batchAxis === null ? shape : shape.toSpliced(batchAxis, 0, 1);
  switch (source.from) {
    case 'input': {
      const tensor = turn.inputs.find(({ name }) => name === source.input);
      if (tensor === undefined)
        throw new CabstandError('INPUT_MISSING', `input ${source.input} is missing`);
      const stateless = manifest.rows.length > 0;
      return {
        shape: stateless ? tensor.shape : withAxis(tensor.shape),
        values: tensor.strings ?? arrayOf(tensor),
      };
    }
    case 'frame':
      return firstFrame(model, input, source.input, turn, withAxis);
    case 'state': {
      const state = model.states.find(({ name }) => name === source.state);
      const shape = state?.shape ?? [];
      return { shape, values: filled(input, elementCount(shape), state?.initial ?? 0) };
    }
    case 'parameter': {
      const shape = manifest.parameters.find(({ name }) => name === source.parameter)?.shape ?? [];
      const value = parameters[source.parameter] ?? 0;
      const values = elementsOf(value, dtype, elementCount(shape));
      return { shape: withAxis(shape), values: values ?? allocate(dtype, elementCount(shape)) };
    }
    case 'item':
    case 'token':
    case 'constant': {
      const shape = dims.map((size, axis) => (axis === batchAxis ? 1 : (size ?? 1)));
      const count = elementCount(shape);
      if (source.from === 'constant')
        return { shape, values: elementsOf(source.value, dtype, count) ?? allocate(dtype, count) };
      return { shape, values: filled(input, count, tokenOf(model, source.from, turn)) };
    }
  }
}

function tokenOf({ manifest }: BoundModel, from: 'item' | 'token', turn: SampleTurn): number {
  const { generation, text } = manifest;
  if (from === 'token' || text.input === undefined || turn.prompt === '')
    return generation?.start ?? 0;
  return encodeText(turn.prompt, text.input)[0] ?? 0;
}

function filled(input: BoundInput, count: number, value: number): NumericArray {
  const array = allocate(input.dtype, count);
  if (value !== 0) fill(input.dtype, array, value);
  return array;
}

/** What the first step would see, as far as the turn reaches; zeros behind it. */
function firstFrame(
  { manifest }: BoundModel,
  input: BoundInput,
  name: string,
  turn: SampleTurn,
  withAxis: (shape: readonly number[]) => readonly number[],
): Shaped {
  const spec = manifest.inputs.find((one) => one.name === name);
  const framing = manifest.framed.find((one) => one.input === name);
  if (spec === undefined || framing === undefined)
    throw new CabstandError('INTERNAL', `no framed input ${name}`);
  const length = framing.carry + framing.frame;
  const sizes = spec.shape.map((size, axis) =>
    axis === framing.axis ? length : typeof size === 'number' ? size : 1,
  );
  const values = allocate(input.dtype, elementCount(sizes));
  const tensor = turn.inputs.find((one) => one.name === name);
  if (tensor?.dtype === input.dtype) {
    const given = arrayOf(tensor);
    const outer = elementCount(sizes.slice(0, framing.axis));
    const inner = elementCount(sizes.slice(framing.axis + 1));
    const has = tensor.shape[framing.axis] ?? 0;
    const items = Math.min(framing.frame, has);
    for (let block = 0; block < outer; block += 1)
      copyAt(
        values,
        slice(given, block * has * inner, items * inner),
        (block * length + framing.carry) * inner,
      );
  }
  return { shape: withAxis(sizes), values };
}
