/** Whether tensors of ONNX files can be served, and what to say of those that cannot. */
import { DTYPES, isDType } from '@cabstand/tensor';
import type { DType } from '@cabstand/tensor';
import type { GraphSummary, GraphValue } from '../onnx-file/types';
import { operators } from '../onnx-file/reach';

/** A tensor with a dtype that is served and a rank. */
export interface ServedValue extends GraphValue {
  readonly dtype: DType;
  readonly dims: NonNullable<GraphValue['dims']>;
}

/** ONNX Runtime takes tensors as the members of an object, where this name means another thing. */
const UNBINDABLE = '__proto__';
const ANOTHER_NAME = 'another name: JavaScript cannot bind a tensor of this one';

/** What keeps an input from being served, as a pair of what is there and what is expected. */
export function problemOfInput(value: GraphValue): [found: string, expected: string] | undefined {
  const { name, kind, dtype, dims } = value;
  if (name === UNBINDABLE) return [name, ANOTHER_NAME];
  if (kind !== 'tensor') return [`${kind} input`, 'a tensor: callers send nothing else'];
  if (!isDType(dtype)) return [dtype, servedDtypes()];
  if (dims === undefined)
    return ['a tensor of any rank', 'a rank: export with a shape, or fix it with shape inference'];
  return undefined;
}

/** Likewise for an output. */
export function problemOfOutput({ name, kind, dtype }: GraphValue): [string, string] | undefined {
  if (name === UNBINDABLE) return [name, ANOTHER_NAME];
  return kind === 'tensor' && !isDType(dtype) ? [dtype, servedDtypes()] : undefined;
}

export function isServed(value: GraphValue): value is ServedValue {
  return problemOfInput(value) === undefined;
}

/** An output without a type is taken for one: ONNX Runtime finds out which. */
export function isTensor(kind: GraphValue['kind']): boolean {
  return kind === 'tensor' || kind === 'unknown';
}

/** Why an output is left out; undefined for one that can be emitted. */
export function noteOnOutput(value: GraphValue, summary: GraphSummary): string | undefined {
  const { kind, name } = value;
  if (isTensor(kind)) return undefined;
  const note = `${kind} output ${name} left out`;
  return operators(summary).has('ai.onnx.ml:ZipMap')
    ? `${note}: for class probabilities as a tensor export with zipmap=False`
    : `${note}: only tensors are served`;
}

/** Models with these take NaN as a missing value, or ask for it. */
const TAKES_NAN = /^(IsNaN|IsInf|ai\.onnx\.ml:(Imputer|TreeEnsemble.*))$/;

export function takesNan(summary: GraphSummary): boolean {
  return [...operators(summary)].some((operator) => TAKES_NAN.test(operator));
}

function servedDtypes(): string {
  return `one of ${Object.keys(DTYPES).join(', ')}`;
}
