/** Operators that move elements about within their rows. */
import { otherAxes, rowAxis, solid } from './graph-builder';
import { hasOther, sizeAt } from './operator';
import type { Operator } from './operator';

export const REARRANGING: readonly Operator[] = [
  {
    name: 'Concat',
    takes: hasOther,
    apply: (graph, value, others) => {
      const axis = graph.random.pick(otherAxes(value));
      const fitting = others.filter(
        ({ dtype, dims }) =>
          dtype === value.dtype &&
          dims.length === value.dims.length &&
          dims.every((size, at) => (at === axis ? size !== 'rows' : size === value.dims[at])),
      );
      const other = graph.random.pick(fitting);
      const sizes = [value.dims[axis], other.dims[axis]];
      const [a, b] = sizes;
      // Of two free sizes there is no name for the sum.
      if (typeof a !== 'number' || typeof b !== 'number')
        return graph.node('Identity', [value], value);
      const dims = value.dims.with(axis, a + b);
      return graph.node('Concat', [value, other], value, { dims }, { axis });
    },
  },
  {
    name: 'Slice',
    takes: (value) => otherAxes(value).some((axis) => sizeAt(value, axis) > 1),
    apply: (graph, value) => {
      const axes = otherAxes(value).filter((one) => sizeAt(value, one) > 1);
      const axis = graph.random.pick(axes);
      const end = graph.random.int(1, sizeAt(value, axis));
      const inputs = [value, graph.indices(0), graph.indices(end), graph.indices(axis)];
      return graph.node('Slice', inputs, value, { dims: value.dims.with(axis, end) });
    },
  },
  {
    name: 'Gather',
    takes: (value) => otherAxes(value).some((axis) => sizeAt(value, axis) > 0),
    apply: (graph, value) => {
      const axes = otherAxes(value).filter((one) => sizeAt(value, one) > 0);
      const axis = graph.random.pick(axes);
      const last = sizeAt(value, axis) - 1;
      const chosen = graph.indices(graph.random.int(0, last), graph.random.int(0, last));
      return graph.node(
        'Gather',
        [value, chosen],
        value,
        { dims: value.dims.with(axis, 2) },
        { axis },
      );
    },
  },
  {
    name: 'Reshape with -1',
    // Rows in front stay whole; the sizes behind them become one.
    takes: (value) => solid(value) && rowAxis(value) === 0,
    apply: (graph, value) => {
      const rest = value.dims.slice(1).reduce<number>((size, one) => size * Number(one), 1);
      return graph.node('Reshape', [value, graph.indices(-1, rest)], value, {
        dims: ['rows', rest],
        faithful: value.faithful,
      });
    },
  },
  {
    name: 'Unsqueeze',
    takes: ({ dims }) => dims.length < 4,
    apply: (graph, value) => {
      const axis = graph.random.int(0, value.dims.length);
      const dims = value.dims.toSpliced(axis, 0, 1);
      const { faithful } = value;
      return graph.node('Unsqueeze', [value, graph.indices(axis)], value, { dims, faithful });
    },
  },
];
