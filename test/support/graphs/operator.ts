/** What random graphs are made of. */
import { otherAxes } from './graph-builder';
import type { GraphBuilder, Value } from './graph-builder';

export interface Operator {
  readonly name: string;
  readonly takes: (value: Value) => boolean;
  /** @param others values that there are beside it, the value itself among them */
  readonly apply: (graph: GraphBuilder, value: Value, others: readonly Value[]) => Value;
}

export const hasOther = (value: Value): boolean => otherAxes(value).length > 0;
export const sizeAt = ({ dims }: Value, axis: number): number => {
  const size = dims[axis];
  return typeof size === 'number' ? size : 0;
};
