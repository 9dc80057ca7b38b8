/** YAML text → the written manifest, or an error that names file, key, value and what was expected. */
import type { z } from 'zod';
import type { CabstandError } from '@cabstand/core';
import { expectedInstead } from './foreign';
import { problemsOfIssue } from './issues';
import { manifestProblem, problemsOf } from './problems';
import { manifestSchema } from './schema';
import type { WrittenManifest } from './schema';
import { languageModelSchema } from './schema-language-model';
import type { WrittenLanguageModel } from './schema-language-model';
import { moduleSchema } from './schema-module';
import type { WrittenModule } from './schema-module';
import { ofVariant } from './variants';
import { parseYaml } from './yaml';

/**
 * Of any kind.
 *
 * @param variant merged over the rest; undefined for the model itself.
 * @throws CabstandError MANIFEST_INVALID naming all that is wrong.
 */
export function parseAny(
  text: string,
  file: string,
  variant?: string,
): WrittenManifest | WrittenModule | WrittenLanguageModel {
  const written = readText(text, file, variant);
  if (kindWritten(written) === 'language-model')
    return checked(written, languageModelSchema, false, file);
  return isModule(written)
    ? checked(written, moduleSchema, true, file)
    : checked(written, manifestSchema, false, file);
}

/**
 * A manifest that names no kind, as that of a language model: undefined where it says what those cannot, such
 * as how graphs are fed.
 */
export function parseWithoutKind(
  text: string,
  file: string,
  variant?: string,
): WrittenLanguageModel | undefined {
  const written = readText(text, file, variant);
  if (typeof written !== 'object' || written === null || 'kind' in written) return undefined;
  return languageModelSchema.safeParse({ ...written, kind: 'language-model' }).data;
}

/**
 * Of a model that consists of graphs.
 *
 * @param variant merged over the rest; undefined for the model itself.
 * @throws CabstandError MANIFEST_INVALID naming all that is wrong.
 */
export function parseManifest(text: string, file: string, variant?: string): WrittenManifest {
  return checked(readText(text, file, variant), manifestSchema, false, file);
}

function readText(text: string, file: string, variant: string | undefined): unknown {
  const written = parseYaml(text, file) ?? {};
  return variant === undefined ? written : ofVariant(written, variant, file);
}

function kindWritten(written: unknown): unknown {
  return typeof written === 'object' && written !== null && 'kind' in written
    ? written.kind
    : undefined;
}

/** Without a kind, `module` says that it is one, as other sections do for other kinds. */
function isModule(written: unknown): boolean {
  if (typeof written !== 'object' || written === null) return false;
  if ('kind' in written) return written.kind === 'module';
  return 'module' in written && !('graphs' in written);
}

function checked<S extends z.ZodType>(
  written: unknown,
  schema: S,
  ofModule: boolean,
  file: string,
): z.output<S> {
  const result = schema.safeParse(written);
  if (result.success) return result.data;
  const [first, ...others] = result.error.issues.flatMap((issue) =>
    problemsAt(issue, schema, ofModule, written, file),
  );
  if (first === undefined) throw manifestProblem(file, '(root)', written, 'a manifest');
  throw problemsOf(file, [first, ...others]);
}

function problemsAt(
  issue: z.core.$ZodIssue,
  schema: z.ZodType,
  ofModule: boolean,
  written: unknown,
  file: string,
): CabstandError[] {
  if (issue.code !== 'unrecognized_keys' || issue.path.length > 0)
    return problemsOfIssue(issue, schema, written, file);
  const sections = written as Readonly<Record<string, unknown>>;
  return issue.keys.flatMap((key) => {
    const expected = expectedInstead(key, ofModule);
    return expected === undefined
      ? problemsOfIssue({ ...issue, keys: [key] }, schema, written, file)
      : [manifestProblem(file, key, sections[key], expected)];
  });
}
