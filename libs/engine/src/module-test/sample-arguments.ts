/** Arguments for a command, made from the JSON Schema that it declares. */

type Schema = Readonly<Record<string, unknown>>;

/** Values of one schema that are tried, at most. */
const MOST = 3;
const DEEPEST = 8;

/**
 * Arguments that the schema allows, the most telling first: its examples, its default, each of its choices.
 * Of a truth value both, false last: what was switched on is switched off again. Empty where none could be made.
 */
export function sampleArguments(schema: Schema | undefined): unknown[] {
  if (schema === undefined || Object.keys(schema).length === 0) return [{}];
  return samples(schema, 0).slice(0, MOST);
}

function samples(schema: unknown, depth: number): unknown[] {
  if (!isSchema(schema) || depth > DEEPEST) return [];
  if (Array.isArray(schema.examples) && schema.examples.length > 0) return schema.examples;
  if ('const' in schema) return [schema.const];
  if (Array.isArray(schema.enum)) return schema.enum;
  for (const key of ['anyOf', 'oneOf']) {
    const ways = schema[key];
    if (Array.isArray(ways)) return ways.flatMap((way) => samples(way, depth + 1));
  }
  const type: unknown = Array.isArray(schema.type) ? schema.type[0] : schema.type;
  if (type === 'boolean') return [true, false];
  if ('default' in schema) return [schema.default];
  switch (type) {
    case 'object':
      return objects(schema, depth);
    case 'array':
      return arrays(schema, depth);
    case 'string':
      return strings(schema);
    case 'integer':
    case 'number':
      return numbers(schema);
    case 'null':
      return [null];
    default:
      return isSchema(schema.properties) ? objects(schema, depth) : [];
  }
}

/** Of each property the first, then the second, and so on: all of them together that often. */
function objects(schema: Schema, depth: number): unknown[] {
  const properties = isSchema(schema.properties) ? schema.properties : {};
  const required = Array.isArray(schema.required) ? schema.required : [];
  const choices = Object.entries(properties).map(([key, inner]) => ({
    key,
    values: samples(inner, depth + 1),
  }));
  if (choices.some(({ key, values }) => values.length === 0 && required.includes(key))) return [];
  const known = choices.filter(({ values }) => values.length > 0);
  const rounds = Math.min(MOST, Math.max(1, ...known.map(({ values }) => values.length)));
  return Array.from({ length: rounds }, (_, round) =>
    Object.fromEntries(known.map(({ key, values }) => [key, values[round % values.length]])),
  );
}

function arrays(schema: Schema, depth: number): unknown[] {
  const [item] = samples(schema.items, depth + 1);
  const length = typeof schema.minItems === 'number' ? schema.minItems : 1;
  if (item === undefined) return length === 0 || schema.minItems === undefined ? [[]] : [];
  return [Array.from({ length }, () => item)];
}

function strings({ minLength, maxLength, pattern, format }: Schema): string[] {
  // A text that fits an expression is not to be had in general.
  if (pattern !== undefined || format !== undefined) return [];
  const least = typeof minLength === 'number' ? minLength : 0;
  const most = typeof maxLength === 'number' ? maxLength : Infinity;
  return ['deep blue', 'red'].map((text) => text.padEnd(least, '.').slice(0, most));
}

function numbers(schema: Schema): number[] {
  const { type, minimum, exclusiveMinimum, maximum, exclusiveMaximum, multipleOf } = schema;
  const step = typeof multipleOf === 'number' ? multipleOf : type === 'integer' ? 1 : 0;
  const gap = step === 0 ? 1e-3 : step;
  const least = Math.max(finite(minimum, -Infinity), finite(exclusiveMinimum, -Infinity) + gap);
  const most = Math.min(finite(maximum, Infinity), finite(exclusiveMaximum, Infinity) - gap);
  const inside = (value: number): number => {
    const near = Math.min(Math.max(value, least), most);
    return step === 0 ? near : Math.ceil(near / step - 1e-9) * step;
  };
  return [...new Set([inside(1), inside(2)])].filter((value) => value >= least && value <= most);
}

function finite(value: unknown, otherwise: number): number {
  return typeof value === 'number' ? value : otherwise;
}

function isSchema(value: unknown): value is Schema {
  return typeof value === 'object' && value !== null;
}
