/** The JSON schema of an answer that is to call a function, whatever the model would rather say. */
import type { ToolCallFormat } from '../../serving';
import type { OfferedFunction } from './offer';

/** What these hold are schemas by names that mean nothing. */
const BY_NAME = ['properties', '$defs', 'definitions', 'patternProperties'];
/** Values that are no schemas. */
const VALUES = ['const', 'enum', 'default', 'examples'];

/**
 * An object with the name of one of the functions, and with arguments of its schema.
 *
 * @param format how the model was taught to call: it has names of its own for the arguments
 */
export function callSchema(
  functions: readonly OfferedFunction[],
  format: ToolCallFormat | undefined,
): Readonly<Record<string, unknown>> {
  const member = format === 'llama' ? 'parameters' : 'arguments';
  const defs: Record<string, unknown> = {};
  const calls = functions.map(({ name, parameters }, at) => {
    const key = `f${at}`;
    // Places in it are told from its own root.
    const moved = withRefs(parameters, `#/$defs/${key}`);
    if (moved.found) defs[key] = moved.schema;
    return {
      type: 'object',
      properties: {
        name: { const: name },
        [member]: moved.found ? { $ref: `#/$defs/${key}` } : parameters,
      },
      required: ['name', member],
      additionalProperties: false,
    };
  });
  const [only] = calls;
  const schema = calls.length === 1 && only !== undefined ? only : { anyOf: calls };
  return Object.keys(defs).length === 0 ? schema : { ...schema, $defs: defs };
}

/** The schema as it is to stand at a place of another one, and whether it names places in itself. */
function withRefs(
  schema: unknown,
  root: string,
): { readonly schema: unknown; readonly found: boolean } {
  let found = false;
  const moved = (value: unknown, depth: number, isByName = false): unknown => {
    // What nests deeper is refused where it is followed.
    if (typeof value !== 'object' || value === null || depth > 200) return value;
    if (Array.isArray(value)) return value.map((inner: unknown) => moved(inner, depth + 1));
    return Object.fromEntries(
      Object.entries(value).map(([key, inner]: [string, unknown]) => {
        if (isByName) return [key, moved(inner, depth + 1)];
        if (BY_NAME.includes(key)) return [key, moved(inner, depth + 1, true)];
        if (VALUES.includes(key)) return [key, inner];
        if (key !== '$ref' || typeof inner !== 'string' || !inner.startsWith('#'))
          return [key, moved(inner, depth + 1)];
        found = true;
        return [key, root + inner.slice(1)];
      }),
    );
  };
  return { schema: moved(schema, 0), found };
}
