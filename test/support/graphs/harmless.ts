/** Operators that leave each row to itself, as they are put into random graphs. */
import type { DType } from '@cabstand/tensor';
import { CAST_TO, isFloat, isWhole, otherAxes, rowAxis, sameShape, solid } from './graph-builder';
import type { Size, Value } from './graph-builder';
import { hasOther, sizeAt } from './operator';
import type { Operator } from './operator';
import { REARRANGING } from './rearranging';

const isNumber = (dtype: DType): boolean => isFloat(dtype) || isWhole(dtype) || dtype === 'float16';

const elementwise = (
  name: string,
  takes: (dtype: DType) => boolean,
  how: { readonly rounded?: boolean; readonly faithful?: boolean } = {},
): Operator => ({
  name,
  takes: ({ dtype }) => takes(dtype),
  apply: (graph, value) =>
    graph.node(name, [value], value, {
      rounded: value.rounded || how.rounded === true,
      faithful: value.faithful && how.faithful === true,
    }),
});

const reduction = (name: string, takes: (value: Value) => boolean): Operator => ({
  name,
  takes: (value) => hasOther(value) && takes(value),
  apply: (graph, value) => {
    const { random } = graph;
    const axes = random.shuffled(otherAxes(value)).slice(0, random.int(1, 2));
    const keepdims = random.int(0, 1);
    const dims = value.dims.flatMap((size, axis): Size[] =>
      axes.includes(axis) ? (keepdims === 1 ? [1] : []) : [size],
    );
    const changes = { dims, rounded: value.rounded || isFloat(value.dtype) };
    if (name === 'ReduceSum')
      return graph.node(name, [value, graph.indices(...axes)], value, changes, { keepdims });
    return graph.node(name, [value], value, changes, { axes, keepdims });
  },
});

/** The same dtype and shape, row for row. */
const binary = (name: string, takes: (dtype: DType) => boolean): Operator => ({
  name,
  takes: ({ dtype }) => takes(dtype),
  apply: (graph, value, others) => {
    const fitting = others.filter((one) => one.dtype === value.dtype && sameShape(one, value));
    return graph.node(name, [value, graph.random.pick(fitting)], value);
  },
});

const withConstant = (name: string): Operator => ({
  name: `${name} a constant`,
  takes: ({ dtype }) => isNumber(dtype),
  apply: (graph, value) => {
    const last = value.dims.at(-1);
    const shape = typeof last === 'number' && last > 0 && graph.random.int(0, 1) ? [last] : [];
    const { faithful } = value;
    return graph.node(name, [value, graph.weights(value.dtype, shape)], value, { faithful });
  },
});

/** Of an axis that is not the rows', or of any axis where there are rows and other things to move. */
export const FAITHFUL: readonly Operator[] = [
  elementwise('Identity', () => true, { faithful: true }),
  elementwise('Neg', isNumber, { faithful: true }),
  elementwise('Not', (dtype) => dtype === 'bool', { faithful: true }),
  withConstant('Add'),
  withConstant('Mul'),
  {
    name: 'Transpose',
    takes: ({ dims }) => dims.length > 1,
    apply: (graph, value) => {
      const perm = graph.random.shuffled(value.dims.map((_, axis) => axis));
      const dims = perm.map((axis) => value.dims[axis] as Size);
      return graph.node('Transpose', [value], value, { dims, faithful: value.faithful }, { perm });
    },
  },
];

const SUMS: readonly Operator[] = [
  {
    name: 'MatMul',
    takes: ({ dtype, dims }) =>
      isFloat(dtype) && dims.length > 1 && typeof dims.at(-1) === 'number',
    apply: (graph, value) => {
      const [inner, outer] = [Number(value.dims.at(-1)), graph.random.int(1, 4)];
      const dims = value.dims.with(-1, outer);
      return graph.node('MatMul', [value, graph.weights(value.dtype, [inner, outer])], value, {
        dims,
        rounded: true,
      });
    },
  },
  {
    name: 'Gemm',
    takes: (value) =>
      isFloat(value.dtype) &&
      value.dims.length === 2 &&
      solid(value) &&
      rowAxis(value) !== undefined,
    apply: (graph, value) => {
      const transA = rowAxis(value) === 1 ? 1 : 0;
      const [inner, outer] = [Number(value.dims[1 - transA]), graph.random.int(1, 4)];
      const weights = graph.weights(value.dtype, [inner, outer]);
      const bias = graph.weights(value.dtype, [outer]);
      const changes = { dims: ['rows', outer] as const, rounded: true };
      return graph.node('Gemm', [value, weights, bias], value, changes, { transA });
    },
  },
  {
    name: 'Softmax',
    takes: (value) => isFloat(value.dtype) && hasOther(value),
    apply: (graph, value) => {
      const axis = graph.random.pick(otherAxes(value));
      return graph.node('Softmax', [value], value, { rounded: true }, { axis });
    },
  },
  {
    name: 'LayerNormalization',
    takes: (value) =>
      value.dtype === 'float32' &&
      solid(value) &&
      value.dims.length > 1 &&
      value.dims.at(-1) !== 'rows',
    apply: (graph, value) => {
      const size = Number(value.dims.at(-1));
      const scale = graph.weights(value.dtype, [size]);
      // A large epsilon: it keeps what is rounded from being blown up.
      const attributes = { axis: -1, epsilon: { float: 0.25 } };
      return graph.node('LayerNormalization', [value, scale], value, { rounded: true }, attributes);
    },
  },
  {
    name: 'CumSum',
    takes: (value) => (isFloat(value.dtype) || isWhole(value.dtype)) && hasOther(value),
    apply: (graph, value) => {
      const axis = graph.random.pick(otherAxes(value));
      const inputs = [value, graph.constant('int64', [], [axis])];
      return graph.node('CumSum', inputs, value, {
        rounded: value.rounded || isFloat(value.dtype),
      });
    },
  },
  reduction('ReduceSum', ({ dtype }) => isFloat(dtype) || isWhole(dtype)),
  reduction('ReduceMean', (value) => isFloat(value.dtype) && solid(value)),
  reduction('ReduceMax', (value) => (isFloat(value.dtype) || isWhole(value.dtype)) && solid(value)),
];

const JUMPS: readonly Operator[] = [
  {
    name: 'Cast',
    takes: ({ dtype, rounded }) => !rounded && dtype !== 'string',
    apply: (graph, value) => {
      const dtypes = Object.keys(CAST_TO) as (keyof typeof CAST_TO)[];
      const dtype = graph.random.pick(dtypes.filter((one) => one !== value.dtype));
      return graph.node('Cast', [value], value, { dtype }, { to: CAST_TO[dtype] });
    },
  },
  {
    name: 'Where',
    takes: ({ dtype, rounded }) => !rounded && (isFloat(dtype) || isWhole(dtype)),
    apply: (graph, value) => {
      const bound = graph.constant(value.dtype, [], [0]);
      const above = graph.node('Greater', [value, bound], value, { dtype: 'bool' });
      const inputs = [above, value, graph.weights(value.dtype, [])];
      return graph.node('Where', inputs, value);
    },
  },
  {
    name: 'TopK',
    takes: (value) =>
      !value.rounded &&
      (isFloat(value.dtype) || isWhole(value.dtype)) &&
      solid(value) &&
      hasOther(value),
    apply: (graph, value) => {
      const axis = graph.random.pick(otherAxes(value));
      const count = graph.random.int(1, sizeAt(value, axis));
      const [values, places] = [graph.fresh('top'), graph.fresh('place')];
      graph.raw('TopK', [value.name, graph.indices(count)], { axis }, [values, places]);
      const top = { ...value, dims: value.dims.with(axis, count), faithful: false };
      return graph.random.int(0, 1) === 1
        ? { ...top, name: values }
        : { ...top, name: places, dtype: 'int64' };
    },
  },
];

/** Every value that an operator makes of harmless values is harmless. */
export const HARMLESS: readonly Operator[] = [
  ...FAITHFUL,
  elementwise('Abs', isNumber),
  elementwise('Relu', isFloat),
  elementwise('Sigmoid', isFloat, { rounded: true }),
  elementwise('Tanh', isFloat, { rounded: true }),
  elementwise('Erf', (dtype) => dtype === 'float32', { rounded: true }),
  binary('Add', isNumber),
  binary('Sub', isNumber),
  binary('Mul', isNumber),
  binary('And', (dtype) => dtype === 'bool'),
  binary('Xor', (dtype) => dtype === 'bool'),
  ...REARRANGING,
  ...SUMS,
  ...JUMPS,
];
