/** Turn parameters: JSON from callers → values that every graph input can be made from. */
import { CabstandError, invalid } from '@cabstand/core';
import {
  arrayFrom,
  elementCount,
  elementToJson,
  expectedElement,
  readElement,
} from '@cabstand/tensor';
import type { DType, JsonElement, NumericArray } from '@cabstand/tensor';
import { checkForm } from './parameter-forms';
import { oneOf } from './problems';
import type { ParameterSpec, ParameterValue } from './signature';

export type Parameters = Readonly<Record<string, ParameterValue>>;

/**
 * All parameters of a turn, defaults filled in.
 *
 * @throws CabstandError PARAMETER_INVALID naming all that are wrong; its metadata are those of the first.
 */
export function resolveParameters(
  specs: readonly ParameterSpec[],
  given: Readonly<Record<string, unknown>>,
): Parameters {
  const names = specs.map(({ name }) => name);
  const problems: CabstandError[] = [];
  for (const name of Object.keys(given))
    if (!names.includes(name))
      problems.push(invalid('PARAMETER_INVALID', 'parameter', name, oneOf(name, names)));
  const values: Record<string, ParameterValue> = {};
  for (const spec of specs) {
    const value = Object.hasOwn(given, spec.name) ? given[spec.name] : spec.default;
    try {
      values[spec.name] = checkParameter(spec, value, `parameter ${spec.name}`);
    } catch (error) {
      problems.push(CabstandError.from(error));
    }
  }
  throwParameterProblems(problems);
  return values;
}

/** So many are named; how many there are is told. */
const MOST_NAMED = 20;

/** @throws CabstandError PARAMETER_INVALID with every problem, where there is one. */
export function throwParameterProblems(problems: readonly CabstandError[]): void {
  const [first, second] = problems;
  if (first === undefined) return;
  if (second === undefined) throw first;
  const left = problems.length - MOST_NAMED;
  const named = problems.slice(0, MOST_NAMED).map(({ message }) => message);
  const more = left > 0 ? [`and ${left} more`] : [];
  throw new CabstandError('PARAMETER_INVALID', [...named, ...more].join('; '), {
    metadata: first.metadata,
  });
}

/**
 * The value as it goes on: 64-bit integers as numbers up to 2^53 and as decimal text beyond, bools as
 * true or false. Throws PARAMETER_INVALID unless it is what the parameter takes.
 */
export function checkParameter(spec: ParameterSpec, value: unknown, field: string): ParameterValue {
  if (spec.form !== undefined)
    return checkForm(spec.form, value, field, (element, place) =>
      checkElement(spec, element, place),
    );
  if (!Array.isArray(value)) return checkElement(spec, value, field);
  if (spec.shape.length === 0) throw invalid('PARAMETER_INVALID', field, value, 'one value');
  const count = elementCount(spec.shape);
  if (value.length !== count)
    throw invalid('PARAMETER_INVALID', field, value, `a list of ${count} numbers`);
  return value.map((element: unknown) => checkElement(spec, element, field));
}

function checkElement(spec: ParameterSpec, element: unknown, field: string): JsonElement {
  const { dtype, minimum, maximum, oneOf: choices } = spec;
  const fail = (expected: string): never => {
    throw invalid('PARAMETER_INVALID', field, element, expected);
  };
  if (dtype === 'string') {
    if (typeof element !== 'string') return fail(expectedElement(dtype));
    if (choices?.includes(element) === false) fail(oneOf(element, choices.map(String)));
    return element;
  }
  const wide = dtype === 'int64' || dtype === 'uint64';
  const value = typeof element === 'string' && !wide ? undefined : readElement(dtype, element);
  if (value === undefined || !Number.isFinite(Number(value))) return fail(expectedElement(dtype));
  // Comparisons, unlike `includes`, are exact between a bigint and a number.
  if (choices !== undefined && !choices.some((one) => value >= Number(one) && value <= Number(one)))
    fail(`one of ${choices.join(', ')}`);
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
  // No graph is fed with a parameter of another form.
  if (typeof value === 'object' && !isList(value)) return undefined;
  const valueAt = typeof value === 'object' ? (index: number) => value[index] ?? 0 : () => value;
  return arrayFrom(dtype, count, valueAt);
}

function isList(value: ParameterValue): value is readonly JsonElement[] {
  return Array.isArray(value);
}
