/** Operators that let rows of a run change one another, as they are put into random graphs. */
import type { DType } from '@cabstand/tensor';
import { CAST_TO, isFloat, isWhole, rowAxis, solid } from './graph-builder';
import type { GraphBuilder, Size, Value } from './graph-builder';

/**
 * Takes a value with rows that is faithful to an input, so that what they do to one another is seen in
 * what it answers: for a result of one caller's rows alone and among others is not the same.
 */
export interface Leak {
  readonly name: string;
  readonly takes: (value: Value) => boolean;
  readonly apply: (graph: GraphBuilder, value: Value) => Value;
}

/** Rows that a run must have more than; a single caller of these tests never has. */
const FEWEST_FOR_LARGE = 3;
const MOST_FOR_LARGE = 12;

const sums = (dtype: DType): boolean => isFloat(dtype) || isWhole(dtype);
const rows = (value: Value): number => rowAxis(value) ?? 0;
const sized = (value: Value): boolean => solid(value);

/** Something that all rows of a run make together, with one row. */
function together(graph: GraphBuilder, op: string, value: Value): Value {
  const axis = rows(value);
  const changes = { dims: value.dims.with(axis, 1), mixed: true };
  if (op === 'ReduceSum')
    return graph.node(op, [value, graph.indices(axis)], value, changes, { keepdims: 1 });
  return graph.node(op, [value], value, changes, { axes: [axis], keepdims: 1 });
}

const lessReduced = (op: string, takes: (dtype: DType) => boolean): Leak => ({
  name: `what is left of ${op} over the rows`,
  takes: (value) => takes(value.dtype) && sized(value),
  apply: (graph, value) => graph.node('Sub', [value, together(graph, op, value)], value),
});

function reversed(graph: GraphBuilder, value: Value): Value {
  const inputs = [
    ...[value, graph.indices(-1), graph.indices(-1000)],
    ...[graph.indices(rows(value)), graph.indices(-1)],
  ];
  return graph.node('Slice', inputs, value, { mixed: true });
}

export const LEAKS: readonly Leak[] = [
  lessReduced('ReduceSum', sums),
  lessReduced('ReduceMean', isFloat),
  lessReduced('ReduceMax', sums),
  {
    name: 'ReduceSum of all rows',
    takes: (value) => sums(value.dtype) && sized(value),
    apply: (graph, value) => {
      const axis = rows(value);
      const changes = { dims: value.dims.toSpliced(axis, 1), mixed: true };
      return graph.node('ReduceSum', [value, graph.indices(axis)], value, changes, { keepdims: 0 });
    },
  },
  {
    name: 'ReduceSum over all axes, as an empty list says',
    takes: (value) => sums(value.dtype) && sized(value),
    apply: (graph, value) => {
      const changes = { dims: [], mixed: true };
      return graph.node('ReduceSum', [value, graph.indices()], value, changes, { keepdims: 0 });
    },
  },
  {
    name: 'Softmax over the rows',
    takes: (value) => isFloat(value.dtype) && sized(value),
    apply: (graph, value) =>
      graph.node('Softmax', [value], value, { mixed: true }, { axis: rows(value) }),
  },
  {
    name: 'CumSum over the rows',
    takes: (value) => sums(value.dtype) && sized(value),
    apply: (graph, value) =>
      graph.node('CumSum', [value, graph.constant('int64', [], [rows(value)])], value, {
        mixed: true,
      }),
  },
  {
    name: 'LayerNormalization across the rows',
    takes: (value) =>
      value.dtype === 'float32' && sized(value) && rows(value) === 0 && value.dims.length > 1,
    apply: (graph, value) => {
      // Its scale is as large as all rows are.
      const shape = graph.raw('Shape', [value.name]);
      const scale = graph.raw('Expand', [graph.weights('float32', []), shape]);
      return graph.node('LayerNormalization', [value, scale], value, { mixed: true }, { axis: 0 });
    },
  },
  {
    name: 'normalised by the mean and variance of the batch',
    takes: (value) => value.dtype === 'float32' && sized(value),
    apply: (graph, value) => {
      const centred = graph.node('Sub', [value, together(graph, 'ReduceMean', value)], value);
      const square = graph.node('Mul', [centred, centred], value);
      const epsilon = graph.constant('float32', [], [0.01]);
      const variance = graph.node('Add', [together(graph, 'ReduceMean', square), epsilon], value);
      return graph.node('Div', [centred, graph.node('Sqrt', [variance], value)], value);
    },
  },
  {
    name: 'rows in reverse',
    takes: sized,
    apply: reversed,
  },
  {
    name: 'less the first row',
    takes: (value) => sums(value.dtype) && sized(value),
    apply: (graph, value) => {
      const inputs = [value, graph.indices(0), graph.indices(1), graph.indices(rows(value))];
      const dims = value.dims.with(rows(value), 1);
      const first = graph.node('Slice', inputs, value, { dims, mixed: true });
      return graph.node('Add', [value, first], value);
    },
  },
  {
    name: 'one scale for the whole batch (DynamicQuantizeLinear and MatMulInteger)',
    takes: (value) =>
      value.dtype === 'float32' &&
      sized(value) &&
      value.dims.length > 1 &&
      value.dims.at(-1) !== 'rows',
    apply: (graph, value) => {
      const [quantised, scale, zero] = ['q', 'scale', 'zero'].map((name) => graph.fresh(name));
      const [q = '', s = '', z = ''] = [quantised, scale, zero];
      graph.raw('DynamicQuantizeLinear', [value.name], {}, [q, s, z]);
      const inner = Number(value.dims.at(-1));
      const count = inner * 2;
      const numbers = Array.from({ length: count }, () => graph.random.int(-100, 100) || 1);
      const weights = graph.constant('int8', [inner, 2], numbers);
      const product = graph.raw('MatMulInteger', [q, weights, z]);
      const cast = graph.raw('Cast', [product], { to: 1 });
      const changes = { dims: value.dims.with(-1, 2), mixed: true };
      return graph.node('Mul', [cast, s], value, changes);
    },
  },
  {
    name: 'attention of all rows',
    takes: (value) =>
      isFloat(value.dtype) && sized(value) && value.dims.length === 2 && rows(value) === 0,
    apply: (graph, value) => {
      const turned = graph.node('Transpose', [value], value, {}, { perm: [1, 0] });
      const scores = graph.node('MatMul', [value, turned], value);
      const weights = graph.node('Softmax', [scores], value, {}, { axis: -1 });
      return graph.node('MatMul', [weights, value], value, { mixed: true });
    },
  },
  {
    name: 'rows that slide into one another (Reshape)',
    takes: (value) =>
      sized(value) && value.dims.length === 3 && rows(value) === 1 && Number(value.dims[0]) > 1,
    apply: (graph, value) => {
      const [outer, , inner] = value.dims.map(Number) as [number, number, number];
      const shape = graph.indices(-1, outer, inner);
      const dims: Size[] = ['rows', outer, inner];
      return graph.node('Reshape', [value, shape], value, { dims, mixed: true });
    },
  },
  {
    name: 'places of what is not zero (NonZero)',
    takes: (value) => ['float32', 'int32', 'int64', 'bool'].includes(value.dtype) && sized(value),
    apply: (graph, value) => {
      const changes = { dtype: 'int64', dims: [value.dims.length, 'width'], mixed: true } as const;
      return graph.node('NonZero', [value], value, changes);
    },
  },
  {
    name: 'the largest of all rows (TopK)',
    takes: (value) => sums(value.dtype) && sized(value),
    apply: (graph, value) => {
      const [values, places] = [graph.fresh('top'), graph.fresh('place')];
      graph.raw('TopK', [value.name, graph.indices(1)], { axis: rows(value) }, [values, places]);
      const dims = value.dims.with(rows(value), 1);
      return { ...value, dims, name: values, mixed: true, faithful: false };
    },
  },
  {
    name: 'larger batches only',
    takes: (value) => sums(value.dtype) && sized(value),
    apply: (graph, value) => {
      const most = graph.constant(
        'int64',
        [],
        [graph.random.int(FEWEST_FOR_LARGE, MOST_FOR_LARGE)],
      );
      const axis = graph.constant('int64', [], [rows(value)]);
      const count = graph.raw('Gather', [graph.raw('Shape', [value.name]), axis], { axis: 0 });
      const large = graph.raw('Greater', [count, most]);
      const to = CAST_TO[value.dtype as keyof typeof CAST_TO];
      const extra = graph.raw('Cast', [large], { to });
      return graph.node('Add', [value, extra], value, { mixed: true });
    },
  },
];

/** The row that each row names in another input, `places`: 0 is the first of the run. */
export function rowsByPlace(graph: GraphBuilder, value: Value, places: Value): Value {
  return graph.node('Gather', [value, places], value, { mixed: true }, { axis: rows(value) });
}
