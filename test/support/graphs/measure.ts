/** Whether callers' rows change one another in a random graph: found with ONNX Runtime alone. */
import type { InferenceSession } from 'onnxruntime-node';
import { CabstandError } from '@cabstand/core';
import type { Tensor } from '@cabstand/tensor';
import { difference, runAlone } from './alone';
import type { Limits } from './alone';
import type { AnyGraph } from './any-graph';
import { joined, rowsOf } from './callers';
import type { Caller } from './callers';

/** Most rows that an engine runs together here. */
export const MOST_ROWS = 16;

/** What `alone` is for a caller that ONNX Runtime refuses: its words. */
export type Answer = readonly Tensor[] | string;

export async function answersAlone(
  session: InferenceSession,
  callers: readonly Caller[],
): Promise<Answer[]> {
  const answers: Answer[] = [];
  for (const { inputs } of callers)
    answers.push(await runAlone(session, inputs).catch((error: unknown) => messageOf(error)));
  return answers;
}

/**
 * What changes when callers run together, in words; undefined where nothing does beyond the limits, or
 * where no two of them can run together.
 */
export async function measuredLeak(
  graph: AnyGraph,
  session: InferenceSession,
  callers: readonly Caller[],
  answers: readonly Answer[],
  limits: Limits,
): Promise<string | undefined> {
  for (const company of new Set(callers.map((one) => one.company))) {
    const together: number[] = [];
    let total = 0;
    for (const [index, { rows, company: own }] of callers.entries()) {
      if (own !== company || typeof answers[index] === 'string' || total + rows > MOST_ROWS)
        continue;
      together.push(index);
      total += rows;
    }
    if (together.length < 2) continue;
    const mates = together.map((index) => callers[index] as Caller);
    const result = await runAlone(session, joined(graph, mates)).catch(messageOf);
    if (typeof result === 'string') return `together: ${result}`;
    let from = 0;
    for (const index of together) {
      const { rows } = callers[index] as Caller;
      const alone = answers[index] as readonly Tensor[];
      const why = changed(alone, result, { from, rows, total }, limits);
      if (why !== undefined) return why;
      from += rows;
    }
  }
  return undefined;
}

function changed(
  alone: readonly Tensor[],
  together: readonly Tensor[],
  { from, rows, total }: { from: number; rows: number; total: number },
  limits: Limits,
): string | undefined {
  for (const [index, own] of alone.entries()) {
    const all = together[index] as Tensor;
    const grown = all.shape.flatMap((size, axis) => (size === own.shape[axis] ? [] : [axis]));
    const [axis = 0] = grown;
    const follows =
      grown.length === 1 &&
      all.shape.length === own.shape.length &&
      all.shape[axis] === total &&
      own.shape[axis] === rows;
    const part = follows ? rowsOf(all, axis, from, rows) : all;
    const why = difference(part, own, limits);
    if (why !== undefined) return why;
  }
  return undefined;
}

function messageOf(error: unknown): string {
  return CabstandError.from(error).message;
}
