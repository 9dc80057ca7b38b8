/** Whether the first dimension of a graph's inputs holds rows. */
import type { GraphSummary } from '../onnx-file/types';

/**
 * The name of the dimension that holds rows: every input with a free first dimension has it there and
 * nowhere else, and every output has it at one axis. Undefined in doubt. Whether rows are computed each by
 * itself is another question: that is measured.
 *
 * @param fixed names that are not free.
 */
export function rowDimension(
  { inputs, outputs }: Pick<GraphSummary, 'inputs' | 'outputs'>,
  fixed: ReadonlySet<string>,
): string | undefined {
  const isFree = (size: number | string | undefined): boolean =>
    typeof size !== 'number' && !(size !== undefined && fixed.has(size));
  const first = inputs.flatMap(({ dims = [] }) =>
    dims.length > 0 && isFree(dims[0]) ? [dims[0]] : [],
  );
  const [name] = first;
  if (typeof name !== 'string' || first.some((other) => other !== name)) return undefined;
  const elsewhere = inputs.some(({ dims = [] }) => dims.lastIndexOf(name) > 0);
  const everywhere = outputs
    .filter(({ kind }) => kind === 'tensor')
    .every(({ dims = [] }) => dims.includes(name) && dims.indexOf(name) === dims.lastIndexOf(name));
  return everywhere && !elsewhere ? name : undefined;
}

/** The axis that a name stands at; null where it does not. */
export function axisOf(
  dims: readonly (number | string | undefined)[] | undefined,
  name: string | undefined,
): number | null {
  const axis = name === undefined ? -1 : (dims ?? []).indexOf(name);
  return axis < 0 ? null : axis;
}
