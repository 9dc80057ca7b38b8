/** The stages of a step of a model with state, and what may run together in one. */
import type { GraphRun } from '@cabstand/model';
import type { GroupFeeds, RunnableGraph } from '../graphs/buffers';

/** Graphs that run after one another in one step. */
export interface StagePlan {
  readonly run: GraphRun;
  readonly graphs: readonly RunnableGraph[];
}

/** What may run together: one stage, the same values of everything that is not batched. */
export interface StageGroup extends GroupFeeds {
  readonly stage: StagePlan;
}

/** Stages in the order in which a turn goes through them; those without graphs are left out. */
export function planOf(graphs: readonly RunnableGraph[]): StagePlan[] {
  return (['once', 'per-item', 'per-step'] as const).flatMap((run): StagePlan[] => {
    const chosen = graphs.filter(({ bound }) => bound.spec.run === run);
    return chosen.length === 0 ? [] : [{ run, graphs: chosen }];
  });
}

/** Most outputs of a stage that write the same state; at least 1. */
export function mostWrites(plan: readonly StagePlan[]): number {
  let most = 1;
  for (const { graphs } of plan) {
    const counts = new Map<string, number>();
    for (const { bound } of graphs)
      for (const { sinks } of bound.outputs)
        for (const sink of sinks)
          if (sink.to === 'state') counts.set(sink.state, (counts.get(sink.state) ?? 0) + 1);
    most = Math.max(most, ...counts.values());
  }
  return most;
}
