/** Schemas of authors: JSON Schema, or a library's by the interface https://standardschema.dev. */
import { z } from 'zod';
import { CabstandError, brief } from '@cabstand/core';

type JsonSchema = Readonly<Record<string, unknown>>;

type Checked =
  | { readonly ok: true; readonly value: unknown }
  /** `problem`: "prompt: Too small: expected string to have >=1 characters", at most 500 characters. */
  | { readonly ok: false; readonly problem: string };

export interface Schema {
  /** As others may check and show it; `{}` where the library gives none. */
  readonly json: JsonSchema;
  /** The value with defaults filled in, as far as the schema has them. */
  check(value: unknown): Checked | Promise<Checked>;
}

interface Issue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}
type Result = { readonly value?: unknown; readonly issues?: readonly Issue[] | undefined };
type ToJson = (options: { target: string }) => JsonSchema;
interface Standard {
  validate(value: unknown): Result | Promise<Result>;
  readonly jsonSchema?: { readonly input: ToJson; readonly output: ToJson };
}

/**
 * @param what names it in errors
 * @param direction which of its sides others see: what a library takes, or what it makes of that
 * @throws CabstandError MODULE_FAILED for what is no schema, or one that JSON Schema cannot express
 */
export function schemaOf(what: string, schema: unknown, direction: 'input' | 'output'): Schema {
  if (typeof schema !== 'object' && typeof schema !== 'function')
    throw impossible(what, `got ${typeof schema}, expected JSON Schema or a Standard Schema`);
  if (schema === null) throw impossible(what, 'got null');
  try {
    if ('~standard' in schema) return standardSchema(schema['~standard'] as Standard, direction);
    const json = schema as JsonSchema;
    const parsed = z.fromJSONSchema(json);
    return { json, check: (value) => checkedOf(parsed['~standard'].validate(value) as Result) };
  } catch (error) {
    throw impossible(what, error instanceof Error ? error.message : String(error), error);
  }
}

function standardSchema(standard: Standard, direction: 'input' | 'output'): Schema {
  const json = standard.jsonSchema?.[direction]({ target: 'draft-2020-12' }) ?? {};
  return {
    json,
    check: (value) => {
      const result = standard.validate(value);
      return result instanceof Promise ? result.then(checkedOf) : checkedOf(result);
    },
  };
}

/** A wrong list brings one issue for each of its items: the first ones say what is wrong. */
const MOST_ISSUES = 5;

function checkedOf({ value, issues }: Result): Checked {
  if (issues === undefined) return { ok: true, value };
  return { ok: false, problem: brief(issues.slice(0, MOST_ISSUES).map(sentenceOf).join('; ')) };
}

function sentenceOf({ path = [], message }: Issue): string {
  const keys = path.map((step) => String(typeof step === 'object' ? step.key : step));
  return keys.length === 0 ? message : `${keys.join('.')}: ${message}`;
}

function impossible(what: string, why: string, cause?: unknown): CabstandError {
  return new CabstandError('MODULE_FAILED', `${what} is no schema that can be used: ${why}`, {
    metadata: { problem: 'schema', field: what },
    cause,
  });
}
