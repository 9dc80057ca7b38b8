/** A random small graph of which it is known whether its rows leak into one another. */
import type { DType } from '@cabstand/tensor';
import { onnxModel } from '@cabstand/testing';
import type { OnnxValue } from '@cabstand/testing';
import { Random } from '../../faults/random';
import { GraphBuilder, rowAxis } from './graph-builder';
import type { Size, Value } from './graph-builder';
import { FAITHFUL, HARMLESS } from './harmless';
import { LEAKS, rowsByPlace } from './leaks';

export interface GraphInput {
  readonly name: string;
  readonly dtype: DType;
  readonly dims: readonly Size[];
  /** Whole numbers from 0 to this; default: any. */
  readonly most: number | 'rows of the turn' | undefined;
}

export interface AnyGraph {
  readonly seed: number;
  readonly file: Buffer;
  readonly inputs: readonly GraphInput[];
  readonly outputs: readonly Value[];
  /** What leaks, by construction; undefined where nothing does. */
  readonly leak: string | undefined;
  /** For people. */
  readonly operators: string;
}

const LEAKING = 0.35;
const TABLE = 5;
const DTYPE_WEIGHTS = {
  ...{ float32: 10, float64: 2, float16: 2, int32: 2, int64: 3, bool: 1, string: 2 },
} as const;

export function anyGraph(seed: number): AnyGraph {
  const random = new Random(seed);
  const graph = new GraphBuilder(random);
  const inputs: GraphInput[] = [];
  const live = rowInputs(graph, inputs);
  if (random.next() < 0.25) live.push(lookedUp(graph, inputs));
  const sides = sideInputs(random, inputs);
  const applied: string[] = [];
  const outputs: Value[] = [];

  let leak: string | undefined;
  if (random.next() < LEAKING) {
    const leaking = addLeak(graph, live, inputs);
    leak = leaking.name;
    applied.push(leak);
    outputs.push(leaking.value);
  }
  for (let steps = random.int(1, 6); steps > 0; steps -= 1) {
    const value = random.pick(live);
    const operator = random.pick(HARMLESS.filter(({ takes }) => takes(value)));
    live.push(operator.apply(graph, value, live));
    applied.push(operator.name);
  }
  for (const side of sides) {
    const made = withSide(graph, side, live);
    if (made !== undefined) applied.push(`with ${side.name}`);
    if (made !== undefined) (rowAxis(made) === undefined ? outputs : live).push(made);
  }
  const made = live.filter(({ name }) => !inputs.some((input) => input.name === name));
  const last = made.at(-1);
  if (last !== undefined) outputs.push(last);
  if (made.length > 1 && random.next() < 0.4) outputs.push(random.pick(made.slice(0, -1)));
  if (random.next() < 0.06) outputs.push(constantOutput(graph));
  // What a graph does not say has to be found out.
  const sparing = random.next() < 0.2;
  const rows = random.pick(['batch', 'N', 'batch_size', 'n', '']);
  const file = onnxModel({
    inputs: inputs.map((input) => graphValue(input, { rows, width: 'width' })),
    // Free sizes of outputs that are not rows need not be those of inputs.
    outputs: outputs.map((output) =>
      sparing ? { name: output.name, dtype: output.dtype } : graphValue(output, { rows }),
    ),
    nodes: graph.nodes,
    initializers: graph.initializers,
  });
  return { seed, file, inputs, outputs, leak, operators: applied.join(', ') };
}

/** One or two batched inputs. */
function rowInputs(graph: GraphBuilder, inputs: GraphInput[]): Value[] {
  const { random } = graph;
  const live: Value[] = [];
  const axis = random.next() < 0.7 ? 0 : 1;
  for (let count = random.int(1, 2); count > 0; count -= 1) {
    const dtype = random.weighted(DTYPE_WEIGHTS);
    const rank = random.int(axis + 1, 3);
    const dims = Array.from({ length: rank }, (_, at): Size => {
      if (at === axis) return 'rows';
      const kind = random.next();
      if (kind < 0.12) return 'width';
      // Long ones are summed up in another order by other kernels, and have odd ends.
      return kind < 0.15 ? 0 : kind < 0.3 ? random.int(15, 40) : random.int(1, 4);
    });
    const name = random.next() < 0.15 ? `net/${inputs.length}:x` : `x${inputs.length}`;
    inputs.push({ name, dtype, dims, most: undefined });
    live.push({ name, dtype, dims, mixed: false, rounded: false, faithful: true });
  }
  return live;
}

/** Rows of a table, as ids in a batched input say. */
function lookedUp(graph: GraphBuilder, inputs: GraphInput[]): Value {
  const { random } = graph;
  const dims: Size[] = random.next() < 0.5 ? ['rows'] : ['rows', 2];
  inputs.push({ name: 'ids', dtype: 'int64', dims, most: TABLE - 1 });
  const width = random.int(1, 3);
  const table = graph.weights('float32', [TABLE, width]);
  const ids: Value = { ...plain('ids', 'int64', dims) };
  return graph.node('Gather', [table, ids], ids, { dtype: 'float32', dims: [...dims, width] });
}

/** Inputs that belong to all rows of a run: none, scalars, lists, empty ones. */
function sideInputs(random: Random, inputs: GraphInput[]): Value[] {
  const made: Value[] = [];
  for (let count = random.int(0, 2); count > 0; count -= 1) {
    const dims = random.pick<Size[]>([[], [], [1], [3], [0], [0, 2]]);
    const dtype = random.pick<DType>(['float32', 'float32', 'int64', 'float64', 'string']);
    const name = `side${made.length}`;
    inputs.push({ name, dtype, dims, most: undefined });
    made.push(plain(name, dtype, dims));
  }
  return made;
}

/** A side input put to a use: beside rows where a single number fits, or in an output of its own. */
function withSide(graph: GraphBuilder, side: Value, live: readonly Value[]): Value | undefined {
  const use = graph.random.next();
  const fitting = live.filter(({ dtype }) => dtype === side.dtype && dtype !== 'string');
  if (use < 0.1) return graph.node('Identity', [side], side);
  // An input that nothing uses is an input, too.
  if (use < 0.2 || fitting.length === 0) return undefined;
  const value = graph.random.pick(fitting);
  if (side.dims.length === 0) return graph.node('Mul', [value, side], value);
  // Of an empty list the sum is 0.
  const axes = graph.indices(...side.dims.keys());
  const sum = graph.node('ReduceSum', [side, axes], side, { dims: [] }, { keepdims: 0 });
  return graph.node('Add', [value, sum], value);
}

function constantOutput(graph: GraphBuilder): Value {
  const constant = graph.weights('float32', [graph.random.int(1, 3)]);
  return graph.node('Identity', [constant], plain('', 'float32', ['width']));
}

/** Between an input and an output that lose nothing, so that the leak shows. */
function addLeak(
  graph: GraphBuilder,
  live: readonly Value[],
  inputs: GraphInput[],
): { readonly name: string; readonly value: Value } {
  const { random } = graph;
  const usable = (value: Value): boolean => LEAKS.some(({ takes }) => takes(value));
  let from = random.shuffled(live.filter(({ faithful }) => faithful)).find(usable);
  if (from === undefined) {
    inputs.push({ name: 'more', dtype: 'float32', dims: ['rows', 2], most: undefined });
    from = plain('more', 'float32', ['rows', 2]);
  }
  const transforms = FAITHFUL.filter(({ name }) => name !== 'Concat');
  const through = (value: Value): Value => {
    let made = value;
    for (let count = random.int(0, 2); count > 0; count -= 1) {
      const fitting = transforms.filter(({ takes }) => takes(made));
      made = random.pick(fitting).apply(graph, made, [made]);
    }
    return made;
  };
  const prepared = through(from);
  if (random.next() < 0.07) {
    inputs.push({ name: 'place', dtype: 'int64', dims: ['rows'], most: 'rows of the turn' });
    const places = plain('place', 'int64', ['rows']);
    const value = through(rowsByPlace(graph, prepared, places));
    return { name: 'rows that name one another by place', value };
  }
  const leak = random.pick(LEAKS.filter(({ takes }) => takes(prepared)));
  return { name: leak.name, value: through(leak.apply(graph, prepared)) };
}

function plain(name: string, dtype: DType, dims: readonly Size[]): Value {
  return {
    name,
    dtype,
    dims,
    mixed: false,
    rounded: false,
    faithful: rowAxis({ dims }) !== undefined,
  };
}

/** @param names what the file calls free sizes; unnamed where there is none */
function graphValue(
  { name, dtype, dims }: Pick<Value, 'name' | 'dtype' | 'dims'>,
  names: Readonly<Partial<Record<string, string>>>,
): OnnxValue {
  return {
    name,
    dtype,
    dims: dims.map((size) => (typeof size === 'string' ? (names[size] ?? '') : size)),
  };
}
