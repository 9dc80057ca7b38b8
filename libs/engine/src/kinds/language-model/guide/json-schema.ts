/**
 * Refuses schemas whose words the grammar would not heed: an answer is of its schema, or there is none. Which words
 * are heeded was found by trying each of them.
 */
import { invalid } from '@cabstand/core';
import { jsonPattern } from './json-pattern';

type Schema = Readonly<Record<string, unknown>>;

/** Words that say what is valid; all others (title, description) say nothing of that. */
const CONSTRAINTS = new Set([
  ...[
    'type',
    'enum',
    'const',
    '$ref',
    '$dynamicRef',
    '$recursiveRef',
    'anyOf',
    'oneOf',
    'allOf',
    'not',
  ],
  ...['if', 'then', 'else', 'dependentSchemas', 'dependentRequired', 'dependencies'],
  ...['minLength', 'maxLength', 'pattern', 'format'],
  ...['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf'],
  ...['items', 'prefixItems', 'additionalItems', 'unevaluatedItems', 'minItems', 'maxItems'],
  ...['uniqueItems', 'contains', 'minContains', 'maxContains'],
  ...['properties', 'required', 'additionalProperties', 'unevaluatedProperties', 'propertyNames'],
  ...['patternProperties', 'minProperties', 'maxProperties'],
]);

/** What is heeded of schemas with one of these words; the first that is there counts. */
const BY_WORD: Readonly<Record<string, readonly string[]>> = {
  $ref: ['$ref'],
  enum: ['enum', 'type'],
  const: ['const', 'type'],
  anyOf: ['anyOf'],
  oneOf: ['oneOf'],
  allOf: ['allOf'],
};
const BY_TYPE: Readonly<Record<string, readonly string[]>> = {
  string: ['minLength', 'maxLength', 'pattern', 'format'],
  integer: ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum'],
  number: [],
  boolean: [],
  null: [],
  array: ['items', 'prefixItems', 'minItems', 'maxItems'],
  object: ['properties', 'required', 'additionalProperties'],
};

/** Schemas within schemas. */
const DEEPEST = 64;
const MOST_SCHEMAS = 4096;

/**
 * The schema to compile: patterns are such that no string of them ends before its quotation mark.
 *
 * @throws CabstandError PARAMETER_INVALID naming the first word that is not heeded, and where it is.
 */
export function followedSchema(text: string): string {
  return JSON.stringify(new Reader().read(JSON.parse(text), '', 0));
}

class Reader {
  #schemas = 0;

  read(schema: unknown, place: string, depth: number): unknown {
    if (typeof schema === 'boolean') return schema;
    if (!isObject(schema)) return refuse(place, schema, 'a schema');
    this.#schemas += 1;
    if (depth > DEEPEST) refuse(place, 'deeper', `at most ${DEEPEST} schemas within another`);
    if (this.#schemas > MOST_SCHEMAS) refuse('', `over ${MOST_SCHEMAS} schemas`, 'fewer');
    checkWords(schema, place);
    const entries = Object.entries(schema).map(([word, value]) => [
      word,
      this.#value(word, value, `${place}/${word}`, depth + 1),
    ]);
    return Object.fromEntries(entries);
  }

  #value(word: string, value: unknown, place: string, depth: number): unknown {
    switch (word) {
      case 'properties':
      case '$defs':
      case 'definitions':
        if (!isObject(value)) return refuse(place, value, 'an object of schemas');
        return Object.fromEntries(
          Object.entries(value).map(([name, one]) => {
            // The library writes names as they are.
            if (word === 'properties' && JSON.stringify(name) !== `"${name}"`)
              refuse(
                place,
                name,
                'names without quotation marks, backslashes and control characters',
              );
            return [name, this.read(one, `${place}/${name}`, depth)];
          }),
        );
      case 'anyOf':
      case 'oneOf':
      case 'allOf':
      case 'prefixItems':
        if (!Array.isArray(value) || value.length === 0)
          return refuse(place, value, 'a list of schemas');
        if (word === 'allOf' && value.length > 1)
          return refuse(place, `${value.length} schemas`, 'one: several are not heeded');
        return value.map((one, index) => this.read(one, `${place}/${index}`, depth));
      case 'items':
      case 'additionalProperties':
        return this.read(value, place, depth);
      case 'pattern':
        if (typeof value !== 'string') return refuse(place, value, 'a regular expression');
        return jsonPattern(value) ?? refuse(place, value, PATTERNS);
      case '$ref':
        if (typeof value === 'string' && value.startsWith('#')) return value;
        return refuse(place, value, 'a place in the schema itself, #/…');
      default:
        return value;
    }
  }
}

const PATTERNS =
  'a regular expression that matches no quotation mark and no backslash, with ^ and $ only around all of it';

function checkWords(schema: Schema, place: string): void {
  const words = Object.keys(schema).filter((word) => CONSTRAINTS.has(word));
  const first = Object.keys(BY_WORD).find((word) => words.includes(word));
  const types = typesOf(schema);
  const heeded =
    first === undefined
      ? [
          'type',
          ...types.flatMap(
            (type) =>
              BY_TYPE[type] ??
              refuse(`${place}/type`, type, `one of ${Object.keys(BY_TYPE).join(', ')}`),
          ),
        ]
      : (BY_WORD[first] ?? []);
  const beside =
    first === undefined ? `with type ${types.join(', ') || 'not given'}` : `beside ${first}`;
  for (const word of words)
    if (!heeded.includes(word))
      refuse(`${place}/${word}`, schema[word], `a schema without it: ${beside} it is not heeded`);
  checkTogether(schema, place);
}

/** What contradicts itself, or is heeded only without the other. */
function checkTogether(schema: Schema, place: string): void {
  const lengths = ['minLength', 'maxLength'].filter((word) => word in schema);
  const texts = ['pattern', 'format'].filter((word) => word in schema);
  const [, second] = [...texts, ...lengths];
  if (texts.length > 0 && second !== undefined)
    refuse(
      `${place}/${second}`,
      schema[second],
      `a schema without it: beside ${texts[0]} it is not heeded`,
    );
  const { required, properties = {} } = schema;
  const names = Object.keys(isObject(properties) ? properties : {});
  for (const name of Array.isArray(required) ? (required as unknown[]) : [])
    if (!names.includes(String(name)))
      refuse(`${place}/required`, name, 'names of properties only');
  if (!('type' in schema)) return;
  const values = Array.isArray(schema['enum']) ? (schema['enum'] as unknown[]) : [];
  for (const value of 'const' in schema ? [schema['const']] : values)
    if (!typesOf(schema).some((type) => isOf(value, type)))
      refuse(`${place}/type`, schema['type'], `the type of ${JSON.stringify(value)}`);
}

function typesOf(schema: Schema): readonly string[] {
  const { type } = schema;
  if (Array.isArray(type)) return type.map(String);
  if (type !== undefined) return [typeof type === 'string' ? type : JSON.stringify(type)];
  if (BY_TYPE['object']?.some((word) => word in schema)) return ['object'];
  return BY_TYPE['array']?.some((word) => word in schema) ? ['array'] : [];
}

function isOf(value: unknown, type: string): boolean {
  if (value === null) return type === 'null';
  if (Array.isArray(value)) return type === 'array';
  if (type === 'integer') return Number.isInteger(value);
  return typeof value === type;
}

function isObject(value: unknown): value is Schema {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function refuse(place: string, value: unknown, expected: string): never {
  throw invalid('PARAMETER_INVALID', `parameter json_schema${place}`, value, expected);
}
