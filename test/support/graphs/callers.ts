/** What callers send to a random graph. */
import { DTYPES, arrayFrom, elementCount, stringTensor, tensorOf } from '@cabstand/tensor';
import type { DType, ElementValue, Tensor } from '@cabstand/tensor';
import { Random } from '../../faults/random';
import type { AnyGraph, GraphInput } from './any-graph';

export interface Caller {
  /** By the graph's names. */
  readonly inputs: readonly Tensor[];
  readonly rows: number;
  /** Callers with the same one may share a run: they send the same beside their rows. */
  readonly company: string;
}

const MOST_ROWS = 3;
const WIDTHS = [3, 3, 3, 1, 0];
const WORDS = ['', 'a', 'word', 'zwölf', '🚕', 'a b'];

/** Callers of one turn each, with 1 to 3 rows. Most send the same beside their rows. */
export function callersOf(graph: AnyGraph, count: number): Caller[] {
  const random = new Random(graph.seed ^ 0x5eed);
  const width = random.pick(WIDTHS);
  const shared = graph.inputs.map((input) => random.next() + input.name.length);
  return Array.from({ length: count }, (): Caller => {
    const usual = random.next() < 0.8;
    const own = usual ? width : random.pick(WIDTHS);
    const rows = random.int(1, MOST_ROWS);
    const inputs = graph.inputs.map((input, index) => {
      const batched = input.dims.includes('rows');
      // The same seed gives the same values.
      const values = batched || !usual ? random : new Random((shared[index] ?? 0) * 1e6);
      return madeFor(input, rows, own, values);
    });
    return { inputs, rows, company: companyOf(graph, inputs) };
  });
}

/** All callers' rows as one caller's. */
export function joined(graph: AnyGraph, callers: readonly Caller[]): Tensor[] {
  return graph.inputs.map((input, index) => {
    const parts = callers.map(({ inputs }) => inputs[index] as Tensor);
    const axis = input.dims.indexOf('rows');
    return axis < 0 ? (parts[0] as Tensor) : joinTensors(parts, axis);
  });
}

/** Rows `from` to `from + count` of a tensor. */
export function rowsOf(tensor: Tensor, axis: number, from: number, count: number): Tensor {
  const { shape, dtype, data, strings } = tensor;
  const outer = elementCount(shape.slice(0, axis));
  const inner = elementCount(shape.slice(axis + 1));
  const total = shape[axis] ?? 0;
  const cut = { ...tensor, shape: shape.with(axis, count) };
  const starts = Array.from({ length: outer }, (_, block) => (block * total + from) * inner);
  if (strings !== undefined)
    return { ...cut, strings: starts.flatMap((at) => strings.slice(at, at + count * inner)) };
  const { bytes } = DTYPES[dtype];
  const parts = starts.map((at) => data.subarray(at * bytes, (at + count * inner) * bytes));
  return { ...cut, data: new Uint8Array(Buffer.concat(parts)) };
}

function joinTensors(parts: readonly Tensor[], axis: number): Tensor {
  const first = parts[0] as Tensor;
  const outer = elementCount(first.shape.slice(0, axis));
  const total = parts.reduce((sum, { shape }) => sum + (shape[axis] ?? 0), 0);
  // Block by block, each caller's in order.
  const blocks = Array.from({ length: outer }, (_, block) =>
    parts.map((part) => {
      const flat = { ...part, shape: [outer, elementCount(part.shape) / outer] };
      return rowsOf(flat, 0, block, 1);
    }),
  ).flat();
  const whole = { ...first, shape: first.shape.with(axis, total) };
  if (first.strings !== undefined)
    return { ...whole, strings: blocks.flatMap(({ strings }) => strings ?? []) };
  return { ...whole, data: new Uint8Array(Buffer.concat(blocks.map(({ data }) => data))) };
}

function companyOf({ inputs }: AnyGraph, tensors: readonly Tensor[]): string {
  return JSON.stringify(
    inputs.map(({ dims }, index) => {
      const { shape, strings, data } = tensors[index] as Tensor;
      const axis = dims.indexOf('rows');
      return axis < 0 ? [shape, strings ?? [...data]] : shape.with(axis, -1);
    }),
  );
}

function madeFor(input: GraphInput, rows: number, width: number, random: Random): Tensor {
  const { name, dtype, dims, most } = input;
  const shape = dims.map((size) => (size === 'rows' ? rows : size === 'width' ? width : size));
  const count = elementCount(shape);
  if (dtype === 'string')
    return stringTensor(
      name,
      Array.from({ length: count }, () => random.pick(WORDS)),
      shape,
    );
  const largest = most === 'rows of the turn' ? rows - 1 : most;
  const scale = random.pick([1, 1, 1, 30]);
  const array = arrayFrom(dtype, count, () =>
    largest === undefined ? numberOf(dtype, scale, random) : random.int(0, largest),
  );
  return tensorOf(name, array, shape, dtype);
}

function numberOf(dtype: DType, scale: number, random: Random): ElementValue {
  if (dtype === 'bool') return random.next() < 0.5;
  if (dtype === 'int32' || dtype === 'int64') return random.int(-5 * scale, 5 * scale);
  return (4 * random.next() - 2) * scale;
}
