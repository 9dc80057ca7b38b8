/** What a zod schema finds wrong, as errors that name file, key, value and what was expected. */
import type { z } from 'zod';
import { CabstandError, nearest } from '@cabstand/core';
import { KINDS } from './kinds';
import { manifestProblem } from './problems';

export function problemsOfIssue(
  issue: z.core.$ZodIssue,
  schema: z.core.$ZodType,
  written: unknown,
  file: string,
): CabstandError[] {
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map((key) => unknownKey(key, issue.path, schema, written, file));
  if (issue.code === 'invalid_union' && !('discriminator' in issue && issue.discriminator)) {
    // The alternative that got furthest says most: a list of framings has its mistake deep inside.
    const best = issue.errors.reduce<readonly z.core.$ZodIssue[]>(
      (deepest, one) => (depthOf(one) > depthOf(deepest) ? one : deepest),
      [],
    );
    if (depthOf(best) > 0)
      return best.flatMap((inner) =>
        problemsOfIssue({ ...inner, path: [...issue.path, ...inner.path] }, schema, written, file),
      );
  }
  return [
    manifestProblem(
      file,
      issue.path.map(String).join('.') || '(root)',
      valueAt(written, issue.path),
      expectation(issue),
    ),
  ];
}

function depthOf(issues: readonly z.core.$ZodIssue[]): number {
  return Math.max(
    0,
    ...issues.map(({ path, code }) => path.length + (code === 'unrecognized_keys' ? 1 : 0)),
  );
}

function unknownKey(
  key: string,
  path: readonly PropertyKey[],
  schema: z.core.$ZodType,
  written: unknown,
  file: string,
): CabstandError {
  const known = keysAt(schema, path, written);
  const guess = nearest(key, known);
  const expected =
    (known.length === 0 ? 'no such key' : `one of the keys ${known.join(', ')}`) +
    (guess === undefined ? '' : `; did you mean ${guess}?`);
  const field = [...path.map(String), key].join('.');
  return new CabstandError(
    'MANIFEST_INVALID',
    `${file}: ${field}: unknown key, expected ${expected}`,
    {
      metadata: { file, field, expected },
    },
  );
}

function expectation(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return issue.expected === 'record' ? 'object' : issue.expected;
    case 'invalid_value':
      // Each schema of a manifest has the kinds that are its own.
      if (issue.path.join('.') === 'kind') return `one of ${Object.keys(KINDS).join(', ')}`;
      return `one of ${issue.values.map(String).join(', ')}`;
    case 'too_small':
      return `at least ${String(issue.minimum)}${issue.origin === 'array' ? ' entries' : ''}`;
    case 'too_big':
      return `at most ${String(issue.maximum)}${issue.origin === 'array' ? ' entries' : ''}`;
    case 'invalid_union':
      return 'discriminator' in issue && issue.discriminator === 'from'
        ? 'one of input, frame, item, token, state, parameter, constant'
        : issue.message;
    case 'invalid_key': {
      const inner = issue.issues[0];
      return inner === undefined ? 'another key' : expectation(inner);
    }
    default:
      return issue.message;
  }
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  let at: unknown = value;
  for (const key of path) {
    if (typeof at !== 'object' || at === null) return undefined;
    at = (at as Record<PropertyKey, unknown>)[key];
  }
  return at;
}

/** The keys that the schema takes at a path. */
function keysAt(schema: z.core.$ZodType, path: readonly PropertyKey[], written: unknown): string[] {
  const inner = unwrap(schema, written);
  if (inner === undefined) return [];
  const [key, ...rest] = path;
  const { def } = inner._zod;
  if (def.type === 'object') {
    const { shape } = def as z.core.$ZodObjectDef;
    if (key === undefined) return Object.keys(shape);
    const next = shape[String(key)];
    return next === undefined ? [] : keysAt(next, rest, valueAt(written, [key]));
  }
  if (def.type === 'array' && key !== undefined)
    return keysAt((def as z.core.$ZodArrayDef).element, rest, valueAt(written, [key]));
  if (def.type === 'record' && key !== undefined)
    return keysAt((def as z.core.$ZodRecordDef).valueType, rest, valueAt(written, [key]));
  return [];
}

/** Without defaults and options; of a union, the part that the written value chose. */
function unwrap(schema: z.core.$ZodType, written: unknown): z.core.$ZodType | undefined {
  const { def } = schema._zod;
  if (
    def.type === 'optional' ||
    def.type === 'default' ||
    def.type === 'prefault' ||
    def.type === 'nullable'
  )
    return unwrap((def as z.core.$ZodOptionalDef).innerType, written);
  if (def.type !== 'union') return schema;
  if (!('discriminator' in def)) {
    // An object or a list of such.
    const { options: plain } = def as z.core.$ZodUnionDef;
    const type = Array.isArray(written) ? 'array' : 'object';
    return plain.find((option) => option._zod.def.type === type);
  }
  const { options, discriminator } = def as z.core.$ZodDiscriminatedUnionDef;
  const chosen = valueAt(written, [discriminator]);
  return options.find((option) => option._zod.propValues?.[discriminator]?.has(chosen as string));
}
