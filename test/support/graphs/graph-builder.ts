/** Builds a random graph value by value, and keeps what is known of each: shape, row axis, whether rows mix. */
import type { DType } from '@cabstand/tensor';
import type { OnnxAttribute, OnnxNode, OnnxTensor } from '@cabstand/testing';
import type { Random } from '../../faults/random';

/** `rows` is the number of rows of a run; `width` is free too, but the same for all rows of a run. */
export type Size = number | 'rows' | 'width';

export interface Value {
  readonly name: string;
  readonly dtype: DType;
  readonly dims: readonly Size[];
  /** Some element depends on more than the row it belongs to. */
  readonly mixed: boolean;
  /** Other sizes of a run may round it otherwise: nothing that jumps (a cast, a comparison) may follow. */
  readonly rounded: boolean;
  /** Made of one batched input without losing anything: what its rows do to others shows. */
  readonly faithful: boolean;
}

export type Attributes = Readonly<Record<string, OnnxAttribute>>;

/** What differs from the value that a new one is made of. */
type Changes = Partial<Omit<Value, 'name'>>;

export class GraphBuilder {
  readonly nodes: OnnxNode[] = [];
  readonly initializers: OnnxTensor[] = [];
  #count = 0;

  constructor(readonly random: Random) {}

  /** One node with one output, which is like `from` but for `changes`. */
  node(
    op: string,
    inputs: readonly (Value | string)[],
    from: Value,
    changes: Changes = {},
    attributes: Attributes = {},
  ): Value {
    const name = this.fresh(op.toLowerCase());
    const values = inputs.filter((one) => typeof one !== 'string');
    this.nodes.push({
      op,
      inputs: inputs.map((one) => (typeof one === 'string' ? one : one.name)),
      outputs: [name],
      attributes,
    });
    return {
      ...from,
      mixed: values.some(({ mixed }) => mixed),
      rounded: values.some(({ rounded }) => rounded),
      faithful: false,
      ...changes,
      name,
    };
  }

  /** A node whose outputs are not values: shapes and the like. */
  raw(
    op: string,
    inputs: readonly string[],
    attributes: Attributes = {},
    outputs: readonly string[] = [this.fresh(op.toLowerCase())],
  ): string {
    this.nodes.push({ op, inputs, outputs, attributes });
    return outputs[0] ?? '';
  }

  constant(dtype: DType, shape: readonly number[], values: OnnxTensor['values']): string {
    const name = this.fresh('c');
    this.initializers.push({ name, dtype, shape, values });
    return name;
  }

  /** int64 of rank 1. */
  indices(...values: number[]): string {
    return this.constant('int64', [values.length], values);
  }

  /** Numbers of a dtype that are neither 0 nor far from 1, so that they lose nothing. */
  weights(dtype: DType, shape: readonly number[]): string {
    const count = shape.reduce((product, size) => product * size, 1);
    const values = Array.from({ length: count }, () => weight(dtype, this.random));
    return this.constant(dtype, shape, values);
  }

  fresh(prefix: string): string {
    this.#count += 1;
    return `${prefix}_${this.#count}`;
  }
}

export function rowAxis({ dims }: Pick<Value, 'dims'>): number | undefined {
  const axis = dims.indexOf('rows');
  return axis < 0 ? undefined : axis;
}

/** Axes that are not the rows'. */
export function otherAxes({ dims }: Value): number[] {
  return dims.flatMap((size, axis) => (size === 'rows' ? [] : [axis]));
}

/** No run of it has an axis of size 0: some operators refuse one, others end the process. */
export function solid({ dims }: Value): boolean {
  return dims.every((size) => size === 'rows' || (size !== 'width' && size > 0));
}

export function sameShape(a: Value, b: Value): boolean {
  return a.dims.length === b.dims.length && a.dims.every((size, axis) => size === b.dims[axis]);
}

export const isFloat = (dtype: DType): boolean => dtype === 'float32' || dtype === 'float64';
export const isWhole = (dtype: DType): boolean => dtype === 'int32' || dtype === 'int64';

/** TensorProto.DataType, as Cast wants it. */
export const CAST_TO = {
  ...{ float32: 1, int32: 6, int64: 7, bool: 9, float16: 10, float64: 11 },
} as const;

function weight(dtype: DType, random: Random): number | boolean | string {
  const sign = random.next() < 0.5 ? -1 : 1;
  if (dtype === 'string') return random.pick(['', 'a', 'ö']);
  if (dtype === 'bool') return random.next() < 0.5;
  if (isWhole(dtype)) return sign * random.int(1, 3);
  // Eighths: exact in float16 too.
  return (sign * random.int(4, 16)) / 8;
}
