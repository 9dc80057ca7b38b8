import path from 'node:path';
import { isPath } from './fields';
import type { Field } from './fields';
import { fromText } from './read';
import type { Raw } from './read';

/**
 * Values of a configuration file as they are meant: a list that was written as text becomes one, and
 * relative paths become absolute, from `folder`, the file's own. Answers a copy.
 */
export function fromFile(fields: readonly Field[], raw: Raw, folder: string): Raw {
  const values = structuredClone(raw);
  for (const field of fields) {
    const holder = holderOf(values, field);
    const name = field.path.at(-1) ?? '';
    let value = holder?.[name];
    if (holder === undefined || value === undefined) continue;
    if (field.kind === 'list' && typeof value === 'string') value = fromText(field, value);
    holder[name] = isPath(field) ? resolved(value, folder) : value;
  }
  return values;
}

function holderOf(raw: Raw, field: Field): Raw | undefined {
  let at: unknown = raw;
  for (const name of field.path.slice(0, -1)) at = isObject(at) ? at[name] : undefined;
  return isObject(at) ? at : undefined;
}

function isObject(value: unknown): value is Raw {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Empty text is no path: it says that there is none. What is no text is left for the schema to refuse. */
function resolved(value: unknown, folder: string): unknown {
  if (Array.isArray(value)) return value.map((one: unknown) => resolved(one, folder));
  return typeof value === 'string' && value !== '' ? path.resolve(folder, value) : value;
}
