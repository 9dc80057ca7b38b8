/** Turn parameters: JSON from callers → values that every graph input can be made from. */
import { invalid } from '@cabstand/core';
import {
  arrayFrom,
  elementCount,
  elementToJson,
  expectedElement,
  readElement,
} from '@cabstand/tensor';
import type { DType, JsonElement, NumericArray } from '@cabstand/tensor';
import { oneOf } from './problems';
import type { ParameterSpec, ParameterValue } from './signature';

export type Parameters = Readonly<Record<string, ParameterValue>>;

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

/**
 * The value as it goes on: 64-bit integers as numbers up to 2^53 and as decimal text beyond, bools as
 * true or false. Throws PARAMETER_INVALID unless it is what the parameter takes.
 */
export function checkParameter(spec: ParameterSpec, value: unknown, field: string): ParameterValue {
  if (!Array.isArray(value)) return checkElement(spec, value, field);
  if (spec.shape.length === 0) throw invalid('PARAMETER_INVALID', field, value, 'one value');
  const count = elementCount(spec.shape);
  if (value.length !== count)
    throw invalid('PARAMETER_INVALID', field, value, `a list of ${count} numbers`);
  return value.map((element: unknown) => checkElement(spec, element, field));
}

function checkElement(spec: ParameterSpec, element: unknown, field: string): JsonElement {
  const { dtype, minimum, maximum } = spec;
  const fail = (expected: string): never => {
    throw invalid('PARAMETER_INVALID', field, element, expected);
  };
  const wide = dtype === 'int64' || dtype === 'uint64';
  const value = typeof element === 'string' && !wide ? undefined : readElement(dtype, element);
  if (value === undefined || !Number.isFinite(Number(value))) return fail(expectedElement(dtype));
  // Comparisons, unlike `includes`, are exact between a bigint and a number.
  if (spec.oneOf !== undefined && !spec.oneOf.some((one) => value >= one && value <= one))
    fail(`one of ${spec.oneOf.join(', ')}`);
  if (minimum !== undefined && value < minimum) fail(`at least ${minimum}`);
  if (maximum !== undefined && value > maximum) fail(`at most ${maximum}`);
  return elementToJson(dtype, value);
}

/**
 * `count` elements of a dtype from one value (repeated) or as many as there are elements. Undefined
 * for strings.
 */
export function elementsOf(
  value: ParameterValue,
  dtype: DType,
  count: number,
): NumericArray | undefined {
  if (dtype === 'string') return undefined;
  const valueAt = typeof value === 'object' ? (index: number) => value[index] ?? 0 : () => value;
  return arrayFrom(dtype, count, valueAt);
}
