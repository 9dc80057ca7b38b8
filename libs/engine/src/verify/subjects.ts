/** Whose answers trials look at. */
import { KINDS } from '@cabstand/model';
import type { Manifest } from '@cabstand/model';
import type { TurnPlan } from './harness';
import { pickValues } from './values';

/** Turns that follow on one another, or the single turns of a model that keeps nothing. */
export function subjectsOf(
  { kind }: Manifest,
  sequences: readonly (readonly TurnPlan[])[],
): (readonly TurnPlan[])[] {
  return KINDS[kind].oneGraph ? sequences.flat().map((turn) => [turn]) : [...sequences];
}

/** Rows that a turn brings to a run. */
export function rowsOf({ rows }: Manifest, turn: TurnPlan): number {
  const [first] = rows;
  const tensor = turn.inputs.find(({ name }) => name === first?.input);
  return tensor?.shape[first?.axis ?? 0] ?? 1;
}

/** A turn of `count` rows of this one, from a row on; past the last one it begins again. */
export function takeRows(
  { rows }: Manifest,
  turn: TurnPlan,
  from: number,
  count: number,
): TurnPlan {
  const inputs = turn.inputs.map((tensor) => {
    const axis = rows.find(({ input }) => input === tensor.name)?.axis;
    const size = axis === undefined ? undefined : tensor.shape[axis];
    if (axis === undefined || size === undefined || size === 0) return tensor;
    const like = { ...tensor, shape: tensor.shape.with(axis, count) };
    return pickValues(like, axis, (row) => ({ from: tensor, at: (from + row) % size }));
  });
  return { ...turn, inputs };
}
