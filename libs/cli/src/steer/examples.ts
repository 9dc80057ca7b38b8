import type { v1 } from '@cabstand/rpc';

/**
 * Commands that a module would take, as they would be typed: each with arguments that its schema names
 * (`examples`, `enum` or `default`). A command whose schema names none for what it requires is left out.
 */
export function exampleCommands({ commands }: v1.ModelInfo__Output): string[] {
  return commands.flatMap(({ name, arguments: schema }) => {
    const examples = argumentExamples(parsed(schema));
    return examples.map((args) => `${name} ${JSON.stringify(args)}`);
  });
}

/** At most two, the second value of each property before the first, which is often how it is anyway. */
function argumentExamples(schema: unknown): object[] {
  if (!isObject(schema)) return [];
  if (Array.isArray(schema['examples'])) return schema['examples'].filter(isObject).slice(0, 2);
  const properties = isObject(schema['properties']) ? schema['properties'] : {};
  const required = Array.isArray(schema['required']) ? schema['required'] : [];
  const known = Object.entries(properties)
    .map(([name, property]) => ({ name, values: valuesOf(property) }))
    .filter(({ values }) => values.length > 0);
  if (known.length === 0) return [];
  if (!required.every((name) => known.some((property) => property.name === name))) return [];
  const [first = {}, second = {}] = [1, 0].map((at) =>
    Object.fromEntries(known.map(({ name, values }) => [name, values[at] ?? values[0]])),
  );
  return JSON.stringify(first) === JSON.stringify(second) ? [first] : [first, second];
}

function valuesOf(property: unknown): readonly unknown[] {
  if (!isObject(property)) return [];
  const { examples, enum: choices, default: preset } = property;
  if (Array.isArray(examples) && examples.length > 0) return examples as unknown[];
  if (Array.isArray(choices) && choices.length > 0) return choices as unknown[];
  return preset === undefined ? [] : [preset];
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json === '' ? 'null' : json) as unknown;
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
