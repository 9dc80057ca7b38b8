import { manifestProblem } from '@cabstand/model';
import type { Manifest } from '@cabstand/model';
import { DTYPES, elementCount } from '@cabstand/tensor';
import type { BoundGraph, BoundState, BoundTensor } from './bound';

/** Shape and dtype of each state, from the manifest and all graphs that read or write it. */
export function bindStates(manifest: Manifest, graphs: readonly BoundGraph[]): BoundState[] {
  const states = manifest.state.map((state): BoundState => {
    const key = `state.${state.name}`;
    const fail = (field: string, value: unknown, expected: string): never => {
      throw manifestProblem(manifest.file, field, value, expected);
    };
    const reads = graphs.flatMap(({ inputs }) =>
      inputs.filter(({ source }) => source.from === 'state' && source.state === state.name),
    );
    const writes = graphs.flatMap(({ outputs }) =>
      outputs.filter(({ sinks }) =>
        sinks.some((sink) => sink.to === 'state' && sink.state === state.name),
      ),
    );
    const tensors: readonly BoundTensor[] = [...reads, ...writes];
    const [first] = tensors;
    if (first === undefined) return fail(key, state.name, 'a graph that uses it');
    const { batchAxis, dtype } = first;
    const rank = first.dims.length;
    const axisOfWindow = state.window?.axis;
    if (dtype === 'string') fail(key, dtype, 'a state of numbers');
    if (state.shape !== undefined && state.shape.length !== rank)
      fail(`${key}.shape`, state.shape, `rank ${rank}, as in the graph`);
    if (axisOfWindow !== undefined && (axisOfWindow >= rank || axisOfWindow === batchAxis))
      fail(
        `${key}.window.axis`,
        axisOfWindow,
        `less than the rank, ${rank}, and not the batch axis, ${batchAxis}`,
      );
    const shape = Array.from({ length: rank }, (_, axis) => {
      if (axis === batchAxis) return 1;
      // What is written to a window says nothing of how long the window is.
      const telling = axis === axisOfWindow ? reads : tensors;
      const known = telling.map(({ dims }) => dims[axis]).find((size) => size !== undefined);
      return (
        state.shape?.[axis] ??
        known ??
        fail(`${key}.shape`, state.shape, `a shape: dimension ${axis} is free in the graph`)
      );
    });
    if (batchAxis !== null && state.shape !== undefined && state.shape[batchAxis] !== 1)
      fail(`${key}.shape`, state.shape, `1 at the batch axis, ${batchAxis}`);
    for (const tensor of tensors) {
      const { name, dims, dtype: other } = tensor;
      if (other !== dtype) fail(key, other, `${dtype}, as ${first.name}; ${name} differs`);
      const anyLength = writes.some((one) => one === tensor) ? axisOfWindow : undefined;
      const fits =
        dims.length === rank &&
        dims.every(
          (size, axis) =>
            axis === batchAxis || axis === anyLength || size === undefined || size === shape[axis],
        );
      if (!fits)
        fail(
          `${key}.shape`,
          shape,
          `what ${name} has: [${dims.map((size) => size ?? '?').join(', ')}]`,
        );
    }
    return {
      name: state.name,
      dtype,
      shape,
      batchAxis,
      initial: state.initial,
      scope: state.scope,
      bytes: elementCount(shape) * DTYPES[dtype].bytes,
    };
  });
  const bytes = states.reduce((sum, state) => sum + state.bytes, 0);
  const { maxStateBytes } = manifest.limits;
  if (maxStateBytes !== undefined && bytes > maxStateBytes)
    throw manifestProblem(
      manifest.file,
      'limits.max_state_bytes',
      maxStateBytes,
      `at least ${bytes}, which a sequence's state takes`,
    );
  return states;
}
