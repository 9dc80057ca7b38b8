/** Inputs and outputs of a graph that may be one tensor which goes on from step to step. */
import { dependsOn } from '../onnx-file/reach';
import type { GraphSummary, GraphValue } from '../onnx-file/types';
import { publicName } from './public-names';
import { matchNames } from './state-names';

export interface InferredState {
  /** In the manifest. */
  readonly name: string;
  /** Names in the graph. */
  readonly input: string;
  readonly output: string;
  /** Of the input; undefined is free. */
  readonly dims: readonly (number | string | undefined)[];
  /** The only free dimension of the input, which holds sessions; null where there is none. */
  readonly batchAxis: number | null;
  /** Names, dtype and shape all say state. */
  readonly certain: boolean;
  readonly reason: string;
}

/** Pairs by name, the inputs in the graph's order. Each input and output is in one pair at most. */
export function findStates(summary: GraphSummary): InferredState[] {
  const { inputs, outputs } = summary;
  const pairs = inputs.flatMap((input) =>
    outputs.flatMap((output) => {
      const match = matchNames(input.name, output.name);
      return match === undefined || !isTensorPair(input, output) ? [] : [{ input, output, match }];
    }),
  );
  const alone = pairs.filter(
    ({ input, output }) =>
      pairs.filter((other) => other.input === input || other.output === output).length === 1,
  );
  return alone.map(({ input, output, match }) => {
    const doubt =
      doubtOf(input, output, summary) ?? (match.certain ? undefined : 'the names only look alike');
    const dims = input.dims ?? [];
    const free = dims.findIndex((size) => typeof size !== 'number');
    return {
      name: publicName(input.name),
      input: input.name,
      output: output.name,
      dims,
      batchAxis: free < 0 ? null : free,
      certain: doubt === undefined,
      reason:
        doubt === undefined
          ? `${output.name} is the next ${input.name}: so say names, dtype and shape`
          : `${output.name} may be the next ${input.name}, but ${doubt}`,
    };
  });
}

function isTensorPair(input: GraphValue, output: GraphValue): boolean {
  return input.kind === 'tensor' && output.kind === 'tensor' && input.dtype === output.dtype;
}

/** Why a pair of one name and dtype need not be a state. */
function doubtOf(input: GraphValue, output: GraphValue, summary: GraphSummary): string | undefined {
  const { dims } = input;
  if (dims === undefined) return 'its rank is not known';
  if (input.dtype === 'string') return 'it holds text';
  if (dims.filter((size) => typeof size !== 'number').length > 1)
    return 'more than one of its dimensions is free';
  if (!dependsOn(summary, output.name).has(input.name)) return 'it does not depend on it';
  const next = output.dims;
  // Shape inference often gives up on outputs: a free dimension may be any size.
  if (next === undefined) return undefined;
  const same =
    next.length === dims.length &&
    dims.every((size, axis) => {
      const other = next[axis];
      const fixed = typeof size === 'number' && typeof other === 'number';
      const named = typeof size === 'string' && typeof other === 'string';
      return fixed || named
        ? size === other
        : typeof size === 'number' || typeof other !== 'number';
    });
  return same ? undefined : 'the shapes differ';
}
