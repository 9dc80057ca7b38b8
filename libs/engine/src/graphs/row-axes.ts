/** Which axis of each output follows the rows of a run: found by running graphs with 1, 2 and 3 rows. */
import { CabstandError } from '@cabstand/core';
import type { GraphSession } from './graph-session';
import type { RowAxes } from '../frames/types';
import type { BoundGraph, BoundModel, BoundOutput } from './bound';
import { sampleFeeds } from './sample-feeds';
import type { SampleTurn } from './sample-feeds';

const ROWS = [1, 2, 3] as const;

/**
 * The model with the row axis of each output as it was found. If there is an output without one, or a
 * graph does not take several rows, rows of different callers cannot share a run: the model is not
 * batchable, and says why.
 *
 * @param turns valid input; the first that a graph takes with one row is used
 */
export async function findRowAxes(
  model: BoundModel,
  sessions: readonly GraphSession[],
  turns: readonly SampleTurn[],
): Promise<BoundModel> {
  if (!model.batchable) return withoutAxes(model, model.unbatchedBecause);
  const graphs: BoundGraph[] = [];
  for (const [index, graph] of model.graphs.entries()) {
    const found = await axesOf(model, graph, sessions[index] as GraphSession, turns);
    if (typeof found === 'string') return withoutAxes(model, found);
    graphs.push({ ...graph, outputs: found });
  }
  return { ...model, graphs };
}

/** What `findRowAxes` found, so that another load of the same files need not run for it. */
export function rowAxesOf({ graphs }: BoundModel): RowAxes {
  return graphs.map(({ outputs }) => outputs.map(({ batchAxis }) => batchAxis));
}

/** The model with axes that were found before; undefined where they are not those of its outputs. */
export function withRowAxes(model: BoundModel, axes: RowAxes): BoundModel | undefined {
  const fits =
    model.batchable &&
    axes.length === model.graphs.length &&
    model.graphs.every(
      ({ outputs }, graph) =>
        axes[graph]?.length === outputs.length && axes[graph].every((axis) => axis !== null),
    );
  if (!fits) return undefined;
  const graphs = model.graphs.map((graph, index) => ({
    ...graph,
    outputs: graph.outputs.map((output, at) => ({
      ...output,
      batchAxis: axes[index]?.[at] ?? null,
    })),
  }));
  return { ...model, graphs };
}

/** One row a run: outputs are given as the graph gives them, and nothing is known of their axes. */
export function withoutAxes(model: BoundModel, because: string): BoundModel {
  const stateAxis = ({ sinks }: BoundOutput): number | null =>
    model.states.find(({ name }) => sinks.some((one) => one.to === 'state' && one.state === name))
      ?.batchAxis ?? null;
  return {
    ...model,
    batchable: false,
    unbatchedBecause: because,
    graphs: model.graphs.map((graph) => ({
      ...graph,
      outputs: graph.outputs.map((output) => ({ ...output, batchAxis: stateAxis(output) })),
    })),
  };
}

/** The outputs with their axes, or why there are none. */
async function axesOf(
  model: BoundModel,
  graph: BoundGraph,
  session: GraphSession,
  turns: readonly SampleTurn[],
): Promise<BoundOutput[] | string> {
  let refused = 'no input to try it with';
  for (const turn of turns) {
    const dims: (readonly (readonly number[])[])[] = [];
    try {
      for (const rows of ROWS) dims.push(await run(model, graph, session, turn, rows));
    } catch (error) {
      refused = CabstandError.from(error).message;
      // What fails with one row is no input for it; another may be.
      if (dims.length === 0) continue;
      return `graph ${graph.spec.name} does not take ${ROWS[dims.length]} rows: ${refused}`;
    }
    const outputs: BoundOutput[] = [];
    for (const [index, output] of graph.outputs.entries()) {
      const axis = followingAxis(dims.map((one) => one[index] ?? []));
      if (axis === undefined)
        return `output ${output.name} of graph ${graph.spec.name} does not follow the rows: it has shapes ${dims.map((one) => `[${one[index]?.join(', ') ?? ''}]`).join(', ')} for ${ROWS.join(', ')} rows`;
      const because = misplaced(model, output, axis);
      if (because !== undefined) return because;
      outputs.push({ ...output, batchAxis: axis });
    }
    return outputs;
  }
  return `graph ${graph.spec.name} refuses one row: ${refused}`;
}

/** The one axis that is as long as there are rows, where all others stay as they are. */
function followingAxis(shapes: readonly (readonly number[])[]): number | undefined {
  const [first] = shapes;
  if (first === undefined || shapes.some(({ length }) => length !== first.length)) return undefined;
  const moving = first.flatMap((size, axis) =>
    shapes.every((shape) => shape[axis] === size) ? [] : [axis],
  );
  const [axis] = moving;
  if (axis === undefined || moving.length > 1) return undefined;
  return shapes.every((shape, index) => shape[axis] === ROWS[index]) ? axis : undefined;
}

/** State is written where it is read. */
function misplaced(model: BoundModel, output: BoundOutput, axis: number): string | undefined {
  for (const sink of output.sinks) {
    if (sink.to !== 'state') continue;
    const state = model.states.find(({ name }) => name === sink.state);
    if (state !== undefined && state.batchAxis !== axis)
      return `output ${output.name} has its rows at axis ${axis}, state ${state.name} at ${state.batchAxis}`;
  }
  return undefined;
}

async function run(
  model: BoundModel,
  graph: BoundGraph,
  session: GraphSession,
  turn: SampleTurn,
  rows: number,
): Promise<readonly (readonly number[])[]> {
  const fetches = graph.outputs.map(({ name }) => name);
  const results = await session.run(sampleFeeds(model, graph, turn, rows), fetches);
  return fetches.map((name) => results[name]?.dims ?? []);
}
