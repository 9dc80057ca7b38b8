/** The words of JSON schemas that answers are asked for here, and whether a value is of them. */
export type Schema =
  | { readonly enum: readonly unknown[] }
  | { readonly type: 'boolean' | 'null' }
  | { readonly type: 'integer'; readonly minimum: number; readonly maximum: number }
  | { readonly type: 'string'; readonly pattern: string }
  | {
      readonly type: 'array';
      readonly items: Schema;
      readonly minItems: number;
      readonly maxItems: number;
    }
  | {
      readonly type: 'object';
      readonly properties: Readonly<Record<string, Schema>>;
      readonly required: readonly string[];
      readonly additionalProperties: false;
    };

/** Of an object with all of these properties, and no others. */
export function object(properties: Readonly<Record<string, Schema>>): Schema {
  const required = Object.keys(properties);
  return { type: 'object', properties, required, additionalProperties: false };
}

export function isOf(schema: Schema, value: unknown): boolean {
  if ('enum' in schema) return schema.enum.includes(value);
  switch (schema.type) {
    case 'null':
      return value === null;
    case 'boolean':
      return typeof value === 'boolean';
    case 'integer':
      return Number.isInteger(value) && between(value as number, schema.minimum, schema.maximum);
    case 'string':
      return typeof value === 'string' && new RegExp(schema.pattern, 'u').test(value);
    case 'array':
      return (
        Array.isArray(value) &&
        between(value.length, schema.minItems, schema.maxItems) &&
        value.every((item) => isOf(schema.items, item))
      );
    case 'object': {
      if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
      const given = new Map<string, unknown>(Object.entries(value));
      return (
        schema.required.every((name) => given.has(name)) &&
        [...given].every(([name, one]) => {
          const own = schema.properties[name];
          return own !== undefined && isOf(own, one);
        })
      );
    }
  }
}

function between(number: number, least: number, most: number): boolean {
  return number >= least && number <= most;
}
