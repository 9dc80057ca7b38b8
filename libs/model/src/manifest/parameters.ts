/** Turn parameters: JSON from callers → values that every graph input can be made from. */
import { invalid } from '@cabstand/core';
import { DTYPES, elementCount } from '@cabstand/tensor';
import type { DType, NumericArray } from '@cabstand/tensor';
import { oneOf } from './problems';
import type { ParameterSpec } from './signature';

export type ParameterValue = number | boolean | readonly number[];
export type Parameters = Readonly<Record<string, ParameterValue>>;

const INTEGER_RANGE: Partial<Record<DType, readonly [number, number]>> = {
  int8: [-(2 ** 7), 2 ** 7 - 1],
  int16: [-(2 ** 15), 2 ** 15 - 1],
  int32: [-(2 ** 31), 2 ** 31 - 1],
  int64: [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
  uint8: [0, 2 ** 8 - 1],
  uint16: [0, 2 ** 16 - 1],
  uint32: [0, 2 ** 32 - 1],
  uint64: [0, Number.MAX_SAFE_INTEGER],
  bool: [0, 1],
};

/** All parameters of a turn, defaults filled in. Throws PARAMETER_INVALID naming the parameter. */
export function resolveParameters(
  specs: readonly ParameterSpec[],
  given: Readonly<Record<string, unknown>>,
): Parameters {
  const names = specs.map(({ name }) => name);
  for (const name of Object.keys(given))
    if (!names.includes(name))
      throw invalid('PARAMETER_INVALID', 'parameter', name, oneOf(name, names));
  const values: Record<string, ParameterValue> = {};
  for (const spec of specs) {
    const value = Object.hasOwn(given, spec.name) ? given[spec.name] : spec.default;
    values[spec.name] = checkParameter(spec, value, `parameter ${spec.name}`);
  }
  return values;
}

/** Throws PARAMETER_INVALID unless the value is what the parameter takes. */
export function checkParameter(spec: ParameterSpec, value: unknown, field: string): ParameterValue {
  const count = elementCount(spec.shape);
  const elements: readonly unknown[] = Array.isArray(value) ? value : [value];
  const single = spec.shape.length === 0;
  if (single && Array.isArray(value)) throw invalid('PARAMETER_INVALID', field, value, 'one value');
  if (!single && elements.length !== count && Array.isArray(value))
    throw invalid('PARAMETER_INVALID', field, value, `a list of ${count} numbers`);
  for (const element of elements) checkElement(spec, element, field);
  return value as ParameterValue;
}

function checkElement(spec: ParameterSpec, element: unknown, field: string): void {
  const fail = (expected: string): never => {
    throw invalid('PARAMETER_INVALID', field, element, expected);
  };
  const value = typeof element === 'boolean' && spec.dtype === 'bool' ? Number(element) : element;
  if (typeof value !== 'number' || !Number.isFinite(value)) return fail(`a ${spec.dtype}`);
  const range = INTEGER_RANGE[spec.dtype];
  if (range !== undefined && (!Number.isInteger(value) || value < range[0] || value > range[1]))
    fail(`a whole number that fits ${spec.dtype}`);
  if (spec.oneOf !== undefined && !spec.oneOf.includes(value))
    fail(`one of ${spec.oneOf.join(', ')}`);
  if (spec.minimum !== undefined && value < spec.minimum) fail(`at least ${spec.minimum}`);
  if (spec.maximum !== undefined && value > spec.maximum) fail(`at most ${spec.maximum}`);
}

/** `count` elements of a dtype from one number (repeated) or as many as there are elements. */
export function elementsOf(
  value: ParameterValue,
  dtype: DType,
  count: number,
): NumericArray | undefined {
  const { array: Elements, bytes } = DTYPES[dtype];
  if (Elements === undefined || dtype === 'float16') return undefined;
  const elements = new Elements(new ArrayBuffer(count * bytes), 0, count);
  for (let index = 0; index < count; index += 1) {
    const element = Array.isArray(value)
      ? ((value as readonly number[])[index] ?? 0)
      : Number(value);
    if (elements instanceof BigInt64Array || elements instanceof BigUint64Array)
      elements[index] = BigInt(Math.trunc(element));
    else elements[index] = element;
  }
  return elements;
}
